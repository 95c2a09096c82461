SELECT noun_id, min(time_us)
FROM audit_entries
WHERE organization = $1 AND noun = 'customer' AND action = 'create'
GROUP BY noun_id
