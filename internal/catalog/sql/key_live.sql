-- damaged rows are left out: the others are to work
SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict, hash, client_token, access_token, secret
FROM keys
WHERE revoked_us IS NULL
