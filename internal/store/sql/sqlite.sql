-- name: SQLiteBackup
VACUUM INTO $1

-- name: SQLiteIntegrity
PRAGMA integrity_check (1)

-- name: SQLiteReferences
PRAGMA foreign_key_check

-- name: SQLiteTables
SELECT count(*), coalesce(sum(CASE WHEN name = 'schema_migrations' THEN 1 ELSE 0 END), 0)
FROM sqlite_schema
WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
