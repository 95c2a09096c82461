SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, hash
FROM keys
WHERE revoked_us IS NULL
