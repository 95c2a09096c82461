SELECT count(*), coalesce(sum(CASE WHEN tablename = 'schema_migrations' THEN 1 ELSE 0 END), 0)
FROM pg_catalog.pg_tables
WHERE schemaname = current_schema()
