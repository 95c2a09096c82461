-- damaged rows are left out: the others are posted
SELECT organization, id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE posted IN (0, 2) AND (organization, serial) > ($1, $2)
ORDER BY organization, serial
LIMIT $3
