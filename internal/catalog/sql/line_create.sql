INSERT INTO report_lines (organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
