SELECT customer, month, closed_us, sequence, figures
FROM periods
WHERE organization = $1 AND customer = $2 AND month = $3
