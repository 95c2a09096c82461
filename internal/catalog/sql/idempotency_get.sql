SELECT request, answer
FROM idempotency_keys
WHERE organization = $1 AND scope = $2 AND key = $3 AND created_us > $4
