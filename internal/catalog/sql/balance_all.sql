-- damaged rows are left out: verify tells of them by itself
SELECT entitlement, kind, term, dimension, period, amount
FROM report_balances
WHERE organization = $1
