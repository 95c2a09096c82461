-- name: GroupClaim
UPDATE record_groups
SET status = $4, report = $3, updated_us = $5, reported_us = $6, settled = $7, message = $8
WHERE organization = $1 AND id = $2 AND status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL

-- name: GroupDecide
UPDATE record_groups
SET status = $3, report = $4, updated_us = $5, reported_us = $6, settled = $7, message = $8
WHERE organization = $1 AND id = $2

-- name: GroupOfEntitlement
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND ($2 = '' OR entitlement = $2) AND status NOT IN ('DELETED', 'INVALID')
ORDER BY serial

-- name: GroupOfReport
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND report = $2

-- name: GroupUnclaimed
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND entitlement = $2 AND status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL AND usage_us < $3
ORDER BY usage_us, serial
LIMIT $4

-- name: GroupWaiting
SELECT entitlement, count(*), min(usage_us)
FROM record_groups
WHERE organization = $1 AND status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL AND usage_us < $2
GROUP BY entitlement
ORDER BY entitlement

-- name: RecordGroupAfter
-- damaged rows are left out: verify tells of them by itself
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND serial > $2
ORDER BY serial
LIMIT $3

-- name: RecordGroupBetween
-- The groups of a list, whatever their status, from one of them to another: by creation and serial, newest first.
SELECT count(*)
FROM record_groups
WHERE organization = $1
  AND ($2 = '' OR partner = $2) AND ($3 = '' OR buyer = $3) AND ($4 = '' OR entitlement = $4)
  AND ($5 = '' OR source = $5) AND ($6 = '' OR customer = $6) AND ($7 = '' OR product = $7)
  AND (created_us < $8 OR (created_us = $8 AND serial <= $9))
  AND (created_us > $10 OR (created_us = $10 AND serial >= $11))

-- name: RecordGroupCreate
INSERT INTO record_groups (organization, id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, name)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT DO NOTHING

-- name: RecordGroupDelete
UPDATE record_groups
SET status = 'DELETED', updated_us = $3, posted = CASE posted WHEN 3 THEN 3 ELSE 2 END
WHERE organization = $1 AND id = $2 AND status IN ('CREATED', 'INVALID') AND report IS NULL AND settled = '[]'

-- name: RecordGroupGet
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND id = $2

-- name: RecordGroupList
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND created_us >= $2 AND created_us < $3
  AND ($4 = '' OR partner = $4) AND ($5 = '' OR buyer = $5) AND ($6 = '' OR entitlement = $6)
  AND ($7 = '' OR status = $7) AND ($8 = '' OR source = $8) AND ($9 = '' OR customer = $9)
  AND ($10 = '' OR product = $10)
  AND (created_us < $13 OR (created_us = $13 AND serial <= $14))
ORDER BY created_us DESC, serial DESC
LIMIT $11 OFFSET $12

-- name: RecordGroupListEntitlement
-- The plus keeps SQLite, which has no statistics, from walking all groups of the time: one entitlement has few.
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND entitlement = $6 AND +created_us >= $2 AND +created_us < $3
  AND ($4 = '' OR partner = $4) AND ($5 = '' OR buyer = $5)
  AND ($7 = '' OR status = $7) AND ($8 = '' OR source = $8) AND ($9 = '' OR customer = $9)
  AND ($10 = '' OR product = $10)
  AND (created_us < $13 OR (created_us = $13 AND serial <= $14))
ORDER BY created_us DESC, serial DESC
LIMIT $11 OFFSET $12

-- name: RecordGroupNamed
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND name = $2 AND ($3 = '' OR entitlement = $3)
LIMIT 2

-- name: RecordGroupPosted
UPDATE record_groups
SET posted = $4
WHERE organization = $1 AND serial BETWEEN $2 AND $3 AND posted = $5

-- name: RecordGroupRepost
UPDATE record_groups
SET posted = CASE status WHEN 'DELETED' THEN 2 ELSE 0 END
WHERE posted IN (1, 3) AND status <> 'INVALID' AND updated_us >= $1

-- name: RecordGroupRetry
UPDATE record_groups
SET status = 'CREATED', updated_us = $3, report = NULL, reported_us = NULL, message = ''
WHERE organization = $1 AND id = $2 AND status = 'REPORT_FAILED'

-- name: RecordGroupSerial
SELECT coalesce(max(serial), 0)
FROM record_groups
WHERE organization = $1

-- name: RecordGroupSpan
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND serial BETWEEN $2 AND $3
ORDER BY serial

-- name: RecordGroupUnposted
-- damaged rows are left out: the others are posted
SELECT organization, id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE posted IN (0, 2) AND (organization, serial) > ($1, $2)
ORDER BY organization, serial
LIMIT $3
