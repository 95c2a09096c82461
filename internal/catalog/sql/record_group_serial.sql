SELECT coalesce(max(serial), 0)
FROM record_groups
WHERE organization = $1
