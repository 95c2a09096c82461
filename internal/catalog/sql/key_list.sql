SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict
FROM keys
WHERE organization = $1 AND (created_us, id) > ($2, $3)
ORDER BY created_us, id
LIMIT $4
