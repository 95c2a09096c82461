-- name: MeterClear
DELETE FROM meters
WHERE organization = $1

-- name: MeterDelete
DELETE FROM meters
WHERE organization = $1 AND key = $2

-- name: MeterGet
SELECT organization, key, version, definition, sequence
FROM meters
WHERE organization = $1 AND key = $2

-- name: MeterList
SELECT organization, key, version, definition, sequence
FROM meters
WHERE organization = $1 AND key > $2
ORDER BY key
LIMIT $3

-- name: MeterPut
INSERT INTO meters (organization, key, version, definition, sequence)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (organization, key) DO UPDATE
SET version = excluded.version, definition = excluded.definition, sequence = excluded.sequence

-- name: MetersSequence
SELECT meters_sequence
FROM organizations
WHERE id = $1

-- name: MetersSequenceSet
UPDATE organizations
SET meters_sequence = $2
WHERE id = $1
