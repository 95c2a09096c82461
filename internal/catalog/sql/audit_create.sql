INSERT INTO audit_entries (organization, number, time_us, actor, action, noun, noun_id, before, after)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8
FROM audit_entries
WHERE organization = $1
