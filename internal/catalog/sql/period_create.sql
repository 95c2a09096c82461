INSERT INTO periods (organization, customer, month, closed_us, sequence, figures)
VALUES ($1, $2, $3, $4, $5, $6)
