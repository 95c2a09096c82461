SELECT amount
FROM report_balances
WHERE organization = $1 AND entitlement = $2 AND kind = $3 AND term = $4 AND dimension = $5 AND period = $6
