UPDATE record_groups
SET status = 'CREATED', updated_us = $3, report = NULL, reported_us = NULL, message = ''
WHERE organization = $1 AND id = $2 AND status = 'REPORT_FAILED'
