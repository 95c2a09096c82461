INSERT INTO reports (organization, id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
