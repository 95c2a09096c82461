SELECT coalesce(max(number), 0) + 1
FROM entitlement_credits
WHERE organization = $1 AND entitlement = $2
