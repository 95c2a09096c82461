SELECT DISTINCT hour_us
FROM reports
WHERE organization = $1 AND account = $2 AND hour_us >= $3
