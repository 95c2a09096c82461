-- The plus keeps SQLite, which has no statistics, from walking all reports of the time: one entitlement has few.
SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND entitlement = $6 AND +created_us >= $2 AND +created_us < $3
  AND ($4 = '' OR partner = $4) AND ($5 = '' OR buyer = $5)
ORDER BY created_us DESC, serial DESC
LIMIT $7 OFFSET $8
