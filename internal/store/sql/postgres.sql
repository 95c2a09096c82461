-- name: PostgresCheck
SELECT (SELECT count(length(t::text)) FROM organizations t)
     + (SELECT count(length(t::text)) FROM keys t)
     + (SELECT count(length(t::text)) FROM meters t)
     + (SELECT count(length(t::text)) FROM audit_entries t)
     + (SELECT count(length(t::text)) FROM nouns t)
     + (SELECT count(length(t::text)) FROM noun_links t)
     + (SELECT count(length(t::text)) FROM product_uses t)
     + (SELECT count(length(t::text)) FROM periods t)
     + (SELECT count(length(t::text)) FROM installation t)
     + (SELECT count(length(t::text)) FROM metering_configs t)
     + (SELECT count(length(t::text)) FROM entitlement_credits t)
     + (SELECT count(length(t::text)) FROM billable_metrics t)
     + (SELECT count(length(t::text)) FROM record_groups t)
     + (SELECT count(length(t::text)) FROM idempotency_keys t)
     + (SELECT count(length(t::text)) FROM reports t)
     + (SELECT count(length(t::text)) FROM report_portions t)
     + (SELECT count(length(t::text)) FROM report_lines t)
     + (SELECT count(length(t::text)) FROM report_balances t)
     + (SELECT count(length(t::text)) FROM report_seen t)
     + (SELECT count(length(t::text)) FROM report_reads t)
     + (SELECT count(length(t::text)) FROM reporter_states t)

-- name: PostgresListen
LISTEN odometer_keys

-- name: PostgresLock
SELECT pg_advisory_xact_lock(1330598991, hashtext(current_schema()))

-- name: PostgresTables
SELECT count(*), coalesce(sum(CASE WHEN tablename = 'schema_migrations' THEN 1 ELSE 0 END), 0)
FROM pg_catalog.pg_tables
WHERE schemaname = current_schema()

-- name: PostgresVersion
SELECT current_setting('server_version_num')::integer
