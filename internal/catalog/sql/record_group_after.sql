-- damaged rows are left out: verify tells of them by itself
SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND serial > $2
ORDER BY serial
LIMIT $3
