DELETE FROM idempotency_keys
WHERE created_us <= $1
