SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND entitlement = $2 AND status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL AND usage_us < $3
ORDER BY usage_us, serial
LIMIT $4
