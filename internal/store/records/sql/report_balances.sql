-- name: BalanceAll
-- damaged rows are left out: verify tells of them by itself
SELECT entitlement, kind, term, dimension, period, amount
FROM report_balances
WHERE organization = $1

-- name: BalanceCarried
SELECT entitlement, dimension, term, amount
FROM report_balances
WHERE organization = $1 AND kind = 'carry' AND amount <> '0'
ORDER BY entitlement, dimension, term

-- name: BalanceGet
SELECT amount
FROM report_balances
WHERE organization = $1 AND entitlement = $2 AND kind = $3 AND term = $4 AND dimension = $5 AND period = $6

-- name: BalanceList
SELECT entitlement, kind, term, dimension, period, amount
FROM report_balances
WHERE organization = $1 AND entitlement IN ($2)

-- name: BalancePut
INSERT INTO report_balances (organization, entitlement, kind, term, dimension, period, amount)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (organization, entitlement, kind, term, dimension, period) DO UPDATE SET amount = excluded.amount
