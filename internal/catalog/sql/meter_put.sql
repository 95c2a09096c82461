INSERT INTO meters (organization, key, version, definition, sequence)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (organization, key) DO UPDATE
SET version = excluded.version, definition = excluded.definition, sequence = excluded.sequence
