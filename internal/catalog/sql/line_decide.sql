UPDATE report_lines
SET state = $4, accepted = $5, maybe = $6, grace = $7, next_us = $8, deadline_us = $9, lease = '', lease_us = 0, message = $10, request = $11, response = $12
WHERE organization = $1 AND operation = $2 AND fence = $3 AND state = $13
