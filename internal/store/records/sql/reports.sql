-- name: ReportCreate
INSERT INTO reports (organization, id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: ReportDecide
UPDATE reports
SET status = $3, message = $4, updated_us = $5
WHERE organization = $1 AND id = $2

-- name: ReportForeseen
-- damaged rows are left out: the change of one tells of it
SELECT id
FROM reports
WHERE organization = $1 AND id IN ($2)

-- name: ReportGet
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND id = $2

-- name: ReportHours
SELECT DISTINCT account, hour_us
FROM reports
WHERE organization = $1 AND hour_us >= $2 AND account IN ($3)

-- name: ReportList
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND created_us >= $2 AND created_us < $3
  AND ($4 = '' OR partner = $4) AND ($5 = '' OR buyer = $5) AND ($6 = '' OR entitlement = $6)
ORDER BY created_us DESC, serial DESC
LIMIT $7 OFFSET $8

-- name: ReportListBuyer
-- The plus keeps SQLite, which has no statistics, from walking all reports of the time: one buyer has few.
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND buyer = $5 AND +created_us >= $2 AND +created_us < $3
  AND ($4 = '' OR partner = $4) AND ($6 = '' OR entitlement = $6)
ORDER BY created_us DESC, serial DESC
LIMIT $7 OFFSET $8

-- name: ReportListEntitlement
-- The plus keeps SQLite, which has no statistics, from walking all reports of the time: one entitlement has few.
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND entitlement = $6 AND +created_us >= $2 AND +created_us < $3
  AND ($4 = '' OR partner = $4) AND ($5 = '' OR buyer = $5)
ORDER BY created_us DESC, serial DESC
LIMIT $7 OFFSET $8

-- name: ReportListPartner
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND partner = $4 AND created_us >= $2 AND created_us < $3
  AND ($5 = '' OR buyer = $5) AND ($6 = '' OR entitlement = $6)
ORDER BY created_us DESC, serial DESC
LIMIT $7 OFFSET $8

-- name: ReportOfAccount
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND account = $2 AND hour_us = $3
ORDER BY serial DESC

-- name: ReportSerial
SELECT coalesce(max(serial), 0) FROM reports WHERE organization = $1
