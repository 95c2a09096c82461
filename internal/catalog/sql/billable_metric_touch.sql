UPDATE billable_metrics
SET updated_us = $3
WHERE organization = $1 AND id = $2
