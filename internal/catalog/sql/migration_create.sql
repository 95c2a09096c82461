INSERT INTO schema_migrations (version, name, applied_us)
VALUES ($1, $2, $3)
