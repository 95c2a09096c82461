SELECT number, amount, time_us, actor
FROM entitlement_credits
WHERE organization = $1 AND entitlement = $2 AND number > $3
ORDER BY number
LIMIT $4
