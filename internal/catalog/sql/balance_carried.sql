SELECT entitlement, dimension, term, amount
FROM report_balances
WHERE organization = $1 AND kind = 'carry' AND amount <> '0'
ORDER BY entitlement, dimension, term
