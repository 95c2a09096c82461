-- unchecked: it says what is closed and bills nothing; the figures, which the checksum covers, may be large
SELECT customer
FROM periods
WHERE organization = $1 AND month = $2
ORDER BY customer
LIMIT $3
