SELECT id, definition, info, created_us, updated_us
FROM billable_metrics
WHERE organization = $1 AND id = $2
