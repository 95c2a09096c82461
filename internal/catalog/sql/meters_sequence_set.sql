UPDATE organizations
SET meters_sequence = $2
WHERE id = $1
