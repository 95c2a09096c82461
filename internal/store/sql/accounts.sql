-- name: AccountHolder
SELECT organization FROM marketplace_accounts WHERE account = $1

-- name: AccountOf
SELECT account FROM marketplace_accounts WHERE organization = $1

-- name: AccountTake
INSERT INTO marketplace_accounts (account, organization, taken_us) VALUES ($1, $2, $3)
ON CONFLICT (account) DO UPDATE SET organization = excluded.organization, taken_us = excluded.taken_us

-- name: EntitlementsOf
SELECT body FROM nouns WHERE organization = $1 AND kind = 'entitlement' AND customer = '' AND to_us IS NULL
