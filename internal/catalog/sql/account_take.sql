INSERT INTO marketplace_accounts (account, organization, taken_us) VALUES ($1, $2, $3)
ON CONFLICT (account) DO UPDATE SET organization = excluded.organization, taken_us = excluded.taken_us
