-- unchecked: it says what is closed and bills nothing; the figures, which the checksum covers, may be large
SELECT MIN(month)
FROM periods
WHERE organization = $1 AND month >= $2 AND month <= $3
