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
