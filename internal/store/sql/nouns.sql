-- name: CustomersCreated
SELECT noun_id, min(time_us)
FROM audit_entries
WHERE organization = $1 AND noun = 'customer' AND action = 'create'
GROUP BY noun_id

-- name: CustomersKnown
-- unchecked: whether there ever was one, which a key of the table tells
SELECT DISTINCT id
FROM nouns
WHERE organization = $1 AND kind = 'customer' AND customer = '' AND id IN ($2)

-- name: CustomersNow
-- unchecked: whether there is one, which a key of the table tells
SELECT id
FROM nouns
WHERE organization = $1 AND kind = 'customer' AND customer = '' AND to_us IS NULL AND id IN ($2)

-- name: CustomersNext
-- unchecked: which there are, which a key of the table tells
SELECT id
FROM nouns
WHERE organization = $1 AND kind = 'customer' AND customer = '' AND to_us IS NULL AND id > $2
ORDER BY id
LIMIT $3

-- name: EntitlementUsed
SELECT CASE
  WHEN EXISTS (SELECT 1 FROM record_groups WHERE organization = $1 AND entitlement = $2 AND status NOT IN ('DELETED', 'INVALID')) THEN 'usage record groups'
  WHEN EXISTS (SELECT 1 FROM reports WHERE organization = $1 AND entitlement = $2) THEN 'reports'
  WHEN EXISTS (SELECT 1 FROM entitlement_credits WHERE organization = $1 AND entitlement = $2) THEN 'credit'
  ELSE ''
END

-- name: NounCreate
INSERT INTO nouns (organization, kind, customer, id, from_us, body)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: NounCurrent
SELECT count(*)
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = $3 AND id = $4 AND to_us IS NULL

-- name: NounEnd
UPDATE nouns
SET to_us = $4
WHERE organization = $1 AND kind = $2 AND customer = $3 AND (to_us IS NULL OR to_us > $4) AND id IN ($5)

-- name: NounList
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1

-- name: NounPage
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = '' AND id > $3 AND to_us IS NULL
ORDER BY id
LIMIT $4

-- name: NounSupersede
DELETE FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = $3 AND from_us >= $4 AND id IN ($5)

-- name: NounVersions
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = '' AND id = $3

-- name: NounsChanged
UPDATE organizations
SET nouns_version = nouns_version + 1, live_nouns = live_nouns + $2
WHERE id = $1

-- name: NounsCore
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind IN ('product', 'units', 'entitlement') AND customer = ''

-- name: NounsCustomers
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind = 'customer' AND customer = '' AND id IN ($2)

-- name: NounsMany
-- unchecked: it counts rows and reads none
SELECT count(*)
FROM (SELECT 1 AS found FROM nouns WHERE organization = $1 LIMIT $2) AS counted

-- name: NounsNamed
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = '' AND id IN ($3)

-- name: NounsNow
-- unchecked: which there are, which a key of the table tells
SELECT id
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = '' AND to_us IS NULL AND id IN ($3)

-- name: NounsOfKind
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = ''

-- name: NounsOnce
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization || '' = $1 AND kind IN ('contract', 'cp_code', 'reporting_group', 'account_group') AND id IN ($2)

-- name: NounsOnceOwners
-- unchecked: whose they are, which a key of the table tells
SELECT DISTINCT customer
FROM nouns
WHERE organization || '' = $1 AND kind IN ('contract', 'cp_code', 'reporting_group', 'account_group') AND id = $2

-- name: NounsOwn
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND customer = $2
  AND kind IN ('service', 'contract', 'cp_code', 'reporting_group', 'account_group', 'agent', 'test')

-- name: NounsOwnNow
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind IN ('service', 'contract', 'cp_code', 'reporting_group', 'account_group', 'agent', 'test')
  AND to_us IS NULL AND customer IN ($2)

-- name: NounsOwnOf
SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1 AND kind IN ('service', 'contract', 'cp_code', 'reporting_group', 'account_group', 'agent', 'test')
  AND customer IN ($2)

-- name: NounsSound
UPDATE organizations
SET nouns_sound = nouns_version, nouns_sound_by = $2
WHERE id = $1

-- name: NounsSoundGet
SELECT nouns_version, nouns_sound, nouns_sound_by
FROM organizations
WHERE id = $1

-- name: NounsTotal
SELECT nouns_version, live_nouns
FROM organizations
WHERE id = $1

-- name: NounsVersion
SELECT nouns_version
FROM organizations
WHERE id = $1
