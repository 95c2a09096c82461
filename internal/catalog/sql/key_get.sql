SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict
FROM keys
WHERE organization = $1 AND id = $2
