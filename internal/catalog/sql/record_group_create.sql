INSERT INTO record_groups (organization, id, serial, entitlement, customer, buyer, partner, product, status, usage_us, created_us, updated_us, source, origin, records, billable, message, posted, name)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT DO NOTHING
