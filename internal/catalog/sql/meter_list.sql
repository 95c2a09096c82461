SELECT organization, key, version, definition, sequence
FROM meters
WHERE organization = $1 AND key > $2
ORDER BY key
LIMIT $3
