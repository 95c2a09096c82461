SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND serial BETWEEN $2 AND $3
ORDER BY serial
