INSERT INTO keys (id, organization, role, kind, customer, operator, hash, created_us, expires_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
