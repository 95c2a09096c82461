-- A keyed checksum for each row that can bill or let somebody in: see checksums.go.
-- checksums: organizations, keys, nouns, periods, metering_configs, entitlement_credits, billable_metrics, record_groups, idempotency_keys, reports, report_portions, report_lines, report_balances, report_seen, report_reads, reporter_states

-- The key, more than once: a damaged copy is no harm.
CREATE TABLE checksum_keys (
    copy  SMALLINT NOT NULL PRIMARY KEY CHECK (copy > 0),
    key   TEXT     NOT NULL CHECK (length(key) = 64), -- in hex
    proof TEXT     NOT NULL -- whether the key is whole
);

-- What is never changed may get a checksum.
DROP TRIGGER periods_stay ON periods;
CREATE TRIGGER periods_stay BEFORE UPDATE OF organization, customer, month, closed_us, sequence, figures OR DELETE ON periods
FOR EACH ROW EXECUTE FUNCTION periods_refuse();

DROP TRIGGER entitlement_credits_stay ON entitlement_credits;
CREATE TRIGGER entitlement_credits_stay BEFORE UPDATE OF organization, entitlement, number, amount, time_us, actor OR DELETE ON entitlement_credits
FOR EACH ROW EXECUTE FUNCTION entitlement_credits_refuse();

ALTER TABLE organizations ADD COLUMN checksum BYTEA;
ALTER TABLE keys ADD COLUMN checksum BYTEA;
ALTER TABLE nouns ADD COLUMN checksum BYTEA;
ALTER TABLE periods ADD COLUMN checksum BYTEA;
ALTER TABLE metering_configs ADD COLUMN checksum BYTEA;
ALTER TABLE entitlement_credits ADD COLUMN checksum BYTEA;
ALTER TABLE billable_metrics ADD COLUMN checksum BYTEA;
ALTER TABLE record_groups ADD COLUMN checksum BYTEA;
ALTER TABLE idempotency_keys ADD COLUMN checksum BYTEA;
ALTER TABLE reports ADD COLUMN checksum BYTEA;
ALTER TABLE report_portions ADD COLUMN checksum BYTEA;
ALTER TABLE report_lines ADD COLUMN checksum BYTEA;
ALTER TABLE report_balances ADD COLUMN checksum BYTEA;
ALTER TABLE report_seen ADD COLUMN checksum BYTEA;
ALTER TABLE report_reads ADD COLUMN checksum BYTEA;
ALTER TABLE reporter_states ADD COLUMN checksum BYTEA;
