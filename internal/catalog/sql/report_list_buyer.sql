-- The plus keeps SQLite, which has no statistics, from walking all reports of the time: one buyer has few.
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND buyer = $5 AND +created_us >= $2 AND +created_us < $3
  AND ($4 = '' OR partner = $4) AND ($6 = '' OR entitlement = $6)
ORDER BY created_us DESC, serial DESC
LIMIT $7 OFFSET $8
