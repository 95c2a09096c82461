SELECT organization, key, version, definition, sequence
FROM meters
WHERE organization = $1 AND key = $2
