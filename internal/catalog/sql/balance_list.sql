SELECT kind, term, dimension, period, amount
FROM report_balances
WHERE organization = $1 AND entitlement = $2
