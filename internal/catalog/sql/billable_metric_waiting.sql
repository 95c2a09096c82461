SELECT count(*)
FROM record_groups
WHERE organization = $1 AND status IN ('CREATED', 'REPORT_PENDING', 'REPORT_FAILED') AND billable LIKE $2
