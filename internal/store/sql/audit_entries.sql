-- name: AuditCreate
INSERT INTO audit_entries (organization, number, time_us, actor, action, noun, noun_id, before, after)
VALUES ($1, (SELECT coalesce(max(number), 0) + 1 FROM audit_entries WHERE organization = $1), $2, $3, $4, $5, $6, $7, $8)

-- name: AuditCreateNumbered
INSERT INTO audit_entries (organization, number, time_us, actor, action, noun, noun_id, before, after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: AuditLast
SELECT coalesce(max(number), 0)
FROM audit_entries
WHERE organization = $1

-- name: AuditList
SELECT organization, number, time_us, actor, action, noun, noun_id, before, after
FROM audit_entries
WHERE organization = $1 AND number < $2
ORDER BY number DESC
LIMIT $3
