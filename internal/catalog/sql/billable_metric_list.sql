SELECT id, definition, info, created_us, updated_us
FROM billable_metrics
WHERE organization = $1
ORDER BY created_us, id
