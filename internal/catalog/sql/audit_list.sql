SELECT organization, number, time_us, actor, action, noun, noun_id, before, after
FROM audit_entries
WHERE organization = $1 AND number < $2
ORDER BY number DESC
LIMIT $3
