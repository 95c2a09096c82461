INSERT INTO idempotency_keys (organization, scope, key, request, answer, created_us)
VALUES ($1, $2, $3, $4, $5, $6)
