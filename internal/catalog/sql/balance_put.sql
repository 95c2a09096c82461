INSERT INTO report_balances (organization, entitlement, kind, term, dimension, period, amount)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization, entitlement, kind, term, dimension, period) DO UPDATE SET amount = excluded.amount
