-- name: MigrationCreate
INSERT INTO schema_migrations (version, name, applied_us)
VALUES ($1, $2, $3)

-- name: MigrationLatest
SELECT coalesce(max(version), 0)
FROM schema_migrations
