-- name: CreditAmounts
SELECT entitlement, amount
FROM entitlement_credits
WHERE organization = $1 AND time_us <= $2 AND entitlement IN ($3)

-- name: CreditCreate
INSERT INTO entitlement_credits (organization, entitlement, number, amount, time_us, actor)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: CreditGet
SELECT number, amount, time_us, actor
FROM entitlement_credits
WHERE organization = $1 AND entitlement = $2 AND number = $3

-- name: CreditList
SELECT number, amount, time_us, actor
FROM entitlement_credits
WHERE organization = $1 AND entitlement = $2 AND number > $3
ORDER BY number
LIMIT $4

-- name: CreditNumber
SELECT coalesce(max(number), 0) + 1
FROM entitlement_credits
WHERE organization = $1 AND entitlement = $2
