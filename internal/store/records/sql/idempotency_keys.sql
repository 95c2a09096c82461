-- name: IdempotencyClean
DELETE FROM idempotency_keys
WHERE created_us <= $1

-- name: IdempotencyGet
SELECT request, answer
FROM idempotency_keys
WHERE organization = $1 AND scope = $2 AND key = $3 AND created_us > $4

-- name: IdempotencyPut
INSERT INTO idempotency_keys (organization, scope, key, request, answer, created_us)
VALUES ($1, $2, $3, $4, $5, $6)
