-- name: KeysVersion
SELECT keys_version
FROM installation

-- name: LedgerGet
SELECT coalesce(ledger, '')
FROM installation

-- name: LedgerSet
UPDATE installation
SET ledger = $1
