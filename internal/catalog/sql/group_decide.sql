UPDATE record_groups
SET status = $3, report = $4, updated_us = $5, reported_us = $6, settled = $7, message = $8
WHERE organization = $1 AND id = $2
