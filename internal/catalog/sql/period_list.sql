-- unchecked: the figures, which the checksum covers, may be large
SELECT customer, month, closed_us, sequence, ''
FROM periods
WHERE organization = $1 AND customer = $2 AND month > $3
ORDER BY month
LIMIT $4
