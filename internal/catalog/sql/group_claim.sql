UPDATE record_groups
SET status = $4, report = $3, updated_us = $5, reported_us = $6, settled = $7, message = $8
WHERE organization = $1 AND id = $2 AND status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL
