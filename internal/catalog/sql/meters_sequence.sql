SELECT meters_sequence
FROM organizations
WHERE id = $1
