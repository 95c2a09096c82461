UPDATE reports
SET status = $3, message = $4, updated_us = $5
WHERE organization = $1 AND id = $2
