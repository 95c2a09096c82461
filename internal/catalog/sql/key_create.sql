INSERT INTO keys (id, organization, role, kind, customer, operator, hash, created_us, expires_us, accounts, default_aid, client_token, access_token, secret, sources, strict)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
