DELETE FROM billable_metrics
WHERE organization = $1 AND id = $2
