-- name: ReporterGet
SELECT paused, restored_us, reason FROM reporter_states WHERE organization = $1

-- name: ReporterPut
INSERT INTO reporter_states (organization, paused, restored_us, reason)
VALUES ($1, $2, $3, $4)
ON CONFLICT (organization) DO UPDATE SET paused = excluded.paused, restored_us = excluded.restored_us, reason = excluded.reason

-- name: ReporterStandings
-- unchecked: gauges, which bill nothing
SELECT o.id, coalesce(r.paused, 0), coalesce(w.waiting, 0), w.oldest_us
FROM organizations o
LEFT JOIN reporter_states r ON r.organization = o.id
LEFT JOIN (
  SELECT organization, count(*) AS waiting, min(usage_us) AS oldest_us
  FROM record_groups
  WHERE status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL AND usage_us < $1
  GROUP BY organization
) w ON w.organization = o.id
ORDER BY o.id
