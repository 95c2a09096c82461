UPDATE report_lines
SET lease = $3, lease_us = $4, fence = fence + 1, attempts = attempts + 1, maybe = 1
WHERE organization = $1 AND operation = $2 AND state = 'frozen' AND fence = $5
