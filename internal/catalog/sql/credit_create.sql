INSERT INTO entitlement_credits (organization, entitlement, number, amount, time_us, actor)
VALUES ($1, $2, $3, $4, $5, $6)
