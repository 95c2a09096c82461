-- name: ReporterGet
SELECT paused, restored_us, reason FROM reporter_states WHERE organization = $1

-- name: ReporterPut
INSERT INTO reporter_states (organization, paused, restored_us, reason)
VALUES ($1, $2, $3, $4)
ON CONFLICT (organization) DO UPDATE SET paused = excluded.paused, restored_us = excluded.restored_us, reason = excluded.reason
