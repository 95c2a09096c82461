-- name: CloseJobBegin
UPDATE close_jobs
SET sequence = $3, begun_us = $4, customers = $5
WHERE organization = $1 AND id = $2

-- name: CloseJobCreate
INSERT INTO close_jobs (organization, id, month, actor, created_us, sequence)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: CloseJobEnd
UPDATE close_jobs
SET ended_us = $3, customers = $4, failed = $5, error = $6
WHERE organization = $1 AND id = $2

-- name: CloseJobGet
SELECT organization, id, month, actor, created_us, sequence, begun_us, ended_us, customers, closed, failed, error
FROM close_jobs
WHERE organization = $1 AND id = $2

-- name: CloseJobLast
SELECT coalesce(max(id), 0)
FROM close_jobs
WHERE organization = $1

-- name: CloseJobList
SELECT organization, id, month, actor, created_us, sequence, begun_us, ended_us, customers, closed, failed, error
FROM close_jobs
WHERE organization = $1 AND id < $2
ORDER BY id DESC
LIMIT $3

-- name: CloseJobProgress
UPDATE close_jobs
SET closed = closed + $3
WHERE organization = $1 AND id = $2

-- name: CloseJobsForget
DELETE FROM close_jobs
WHERE organization = $1 AND id <= $2 AND ended_us IS NOT NULL

-- name: CloseJobsOpen
-- damaged rows are left out: the others go on
SELECT organization, id, month, actor, created_us, sequence, begun_us, ended_us, customers, closed, failed, error
FROM close_jobs
WHERE ended_us IS NULL
ORDER BY organization, id

-- name: CloseJobsOpenOf
-- damaged rows are left out: the others go on
SELECT organization, id, month, actor, created_us, sequence, begun_us, ended_us, customers, closed, failed, error
FROM close_jobs
WHERE organization = $1 AND ended_us IS NULL
ORDER BY id
