-- name: SeenCreate
INSERT INTO report_seen (organization, entitlement, dimension, metric, split, day, value, report)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING

-- name: SeenForget
DELETE FROM report_seen
WHERE organization = $1 AND entitlement = $2 AND dimension = $3 AND report = $4

-- name: SeenList
SELECT dimension, metric, split, day, value
FROM report_seen
WHERE organization = $1 AND entitlement = $2 AND day >= $3
