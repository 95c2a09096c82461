-- name: PeriodCreate
INSERT INTO periods (organization, customer, month, closed_us, sequence, figures)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: PeriodCustomers
-- unchecked: it says what is closed and bills nothing; the figures, which the checksum covers, may be large
SELECT customer
FROM periods
WHERE organization = $1 AND month = $2
ORDER BY customer
LIMIT $3

-- name: PeriodGet
SELECT customer, month, closed_us, sequence, figures
FROM periods
WHERE organization = $1 AND customer = $2 AND month = $3

-- name: PeriodList
-- unchecked: the figures, which the checksum covers, may be large
SELECT customer, month, closed_us, sequence, ''
FROM periods
WHERE organization = $1 AND customer = $2 AND month > $3
ORDER BY month
LIMIT $4

-- name: PeriodNextMonth
-- unchecked: it says what is closed and bills nothing; the figures, which the checksum covers, may be large
SELECT MIN(month)
FROM periods
WHERE organization = $1 AND month >= $2 AND month <= $3

-- name: PeriodsClosed
-- unchecked: whether there is one, which a key of the table tells
SELECT customer, month
FROM periods
WHERE organization = $1 AND month >= $2 AND month <= $3 AND customer IN ($4)

-- name: PeriodsOf
-- unchecked: the figures, which the checksum covers, may be large
SELECT customer, month, closed_us, sequence, ''
FROM periods
WHERE organization = $1 AND customer IN ($2)
ORDER BY customer, month
