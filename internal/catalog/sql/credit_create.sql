INSERT INTO entitlement_credits (organization, entitlement, number, amount, time_us, actor)
VALUES ($1, $2, (SELECT coalesce(max(number), 0) + 1 FROM entitlement_credits WHERE organization = $1 AND entitlement = $2), $3, $4, $5)
RETURNING number
