-- name: LinkAdd
INSERT INTO noun_links (organization, kind, target, customer, id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: LinksOf
SELECT target
FROM noun_links
WHERE organization = $1 AND kind = 'billed' AND customer = $2 AND id = $3

-- name: LinksTo
SELECT target, customer, id
FROM noun_links
WHERE organization = $1 AND kind = $2 AND target IN ($3)
