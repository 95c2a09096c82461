SELECT count(*), coalesce(sum(CASE WHEN name = 'schema_migrations' THEN 1 ELSE 0 END), 0)
FROM sqlite_schema
WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
