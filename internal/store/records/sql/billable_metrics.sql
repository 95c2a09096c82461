-- name: BillableMetricCreate
INSERT INTO billable_metrics (organization, id, definition, info, created_us, updated_us)
VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (organization, id) DO NOTHING

-- name: BillableMetricDelete
DELETE FROM billable_metrics
WHERE organization = $1 AND id = $2

-- name: BillableMetricGet
SELECT id, definition, info, created_us, updated_us
FROM billable_metrics
WHERE organization = $1 AND id = $2

-- name: BillableMetricList
SELECT id, definition, info, created_us, updated_us
FROM billable_metrics
WHERE organization = $1
ORDER BY created_us, id

-- name: BillableMetricTouch
UPDATE billable_metrics
SET updated_us = $3
WHERE organization = $1 AND id = $2

-- name: BillableMetricWaiting
SELECT count(*)
FROM record_groups
WHERE organization = $1 AND status IN ('CREATED', 'REPORT_PENDING', 'REPORT_FAILED') AND billable LIKE $2
