SELECT coalesce(max(number), 0)
FROM audit_entries
WHERE organization = $1
