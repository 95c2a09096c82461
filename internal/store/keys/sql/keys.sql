-- name: KeyByClient
-- damaged rows are left out: such a key lets nobody in
SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict, hash, client_token, access_token, secret
FROM keys
WHERE client_token = $1 AND revoked_us IS NULL

-- name: KeyByID
-- damaged rows are left out: such a key lets nobody in
SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict, hash, client_token, access_token, secret
FROM keys
WHERE id = $1 AND revoked_us IS NULL

-- name: KeyClaims
-- damaged rows are left out: the others are to work
SELECT organization, id, customer, sources
FROM keys
WHERE sources <> '' AND revoked_us IS NULL

-- name: KeyCount
SELECT live_keys
FROM organizations
WHERE id = $1

-- name: KeyCountAll
SELECT coalesce(sum(live_keys), 0)
FROM organizations

-- name: KeyCounted
UPDATE organizations
SET live_keys = live_keys + $2
WHERE id = $1

-- name: KeyCreate
INSERT INTO keys (id, organization, role, kind, customer, operator, hash, created_us, expires_us, accounts, default_aid, client_token, access_token, secret, sources, strict)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- name: KeyGet
SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict
FROM keys
WHERE organization = $1 AND id = $2

-- name: KeyList
SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict
FROM keys
WHERE organization = $1 AND (created_us, id) > ($2, $3)
ORDER BY created_us, id
LIMIT $4

-- name: KeyLive
-- damaged rows are left out: the others are to work
SELECT id, organization, role, kind, customer, operator, created_us, expires_us, revoked_us, used_us, accounts, default_aid, sources, strict, hash, client_token, access_token, secret
FROM keys
WHERE revoked_us IS NULL
ORDER BY coalesce(used_us, 0) DESC
LIMIT $1

-- name: KeyOthers
SELECT count(*), coalesce(sum(operator), 0)
FROM keys
WHERE organization = $1 AND id <> $2 AND role = 'admin' AND kind = 'token' AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $3)

-- name: KeyRevoke
UPDATE keys
SET revoked_us = $3
WHERE organization = $1 AND id = $2 AND revoked_us IS NULL

-- name: KeySources
SELECT customer, sources
FROM keys
WHERE organization = $1 AND revoked_us IS NULL AND sources <> '' AND customer <> $2

-- name: KeyUsed
UPDATE keys
SET used_us = $2
WHERE id = $1 AND (used_us IS NULL OR used_us < $2)
