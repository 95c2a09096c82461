SELECT id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, settled, report, reported_us, name
FROM record_groups
WHERE organization = $1 AND ($2 = '' OR entitlement = $2) AND status NOT IN ('DELETED', 'INVALID')
ORDER BY serial
