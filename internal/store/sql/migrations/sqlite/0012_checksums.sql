-- A keyed checksum for each row that can bill or let somebody in: see checksums.go.
-- checksums: organizations, keys, nouns, periods, metering_configs, entitlement_credits, billable_metrics, record_groups, idempotency_keys, reports, report_portions, report_lines, report_balances, report_seen, report_reads, reporter_states

-- The key, more than once: a damaged copy is no harm.
CREATE TABLE checksum_keys (
    copy  INTEGER NOT NULL PRIMARY KEY CHECK (copy > 0),
    key   TEXT    NOT NULL CHECK (length(key) = 64), -- in hex
    proof TEXT    NOT NULL -- whether the key is whole
) STRICT;

-- What is never changed may get a checksum.
DROP TRIGGER periods_stay_as_closed;
CREATE TRIGGER periods_stay_as_closed BEFORE UPDATE OF organization, customer, month, closed_us, sequence, figures ON periods
BEGIN
    SELECT RAISE (ABORT, 'a closed period is never changed');
END;

DROP TRIGGER entitlement_credits_stay_as_given;
CREATE TRIGGER entitlement_credits_stay_as_given BEFORE UPDATE OF organization, entitlement, number, amount, time_us, actor ON entitlement_credits
BEGIN
    SELECT RAISE (ABORT, 'a credit is never changed');
END;

ALTER TABLE organizations ADD COLUMN checksum BLOB;
ALTER TABLE keys ADD COLUMN checksum BLOB;
ALTER TABLE nouns ADD COLUMN checksum BLOB;
ALTER TABLE periods ADD COLUMN checksum BLOB;
ALTER TABLE metering_configs ADD COLUMN checksum BLOB;
ALTER TABLE entitlement_credits ADD COLUMN checksum BLOB;
ALTER TABLE billable_metrics ADD COLUMN checksum BLOB;
ALTER TABLE record_groups ADD COLUMN checksum BLOB;
ALTER TABLE idempotency_keys ADD COLUMN checksum BLOB;
ALTER TABLE reports ADD COLUMN checksum BLOB;
ALTER TABLE report_portions ADD COLUMN checksum BLOB;
ALTER TABLE report_lines ADD COLUMN checksum BLOB;
ALTER TABLE report_balances ADD COLUMN checksum BLOB;
ALTER TABLE report_seen ADD COLUMN checksum BLOB;
ALTER TABLE report_reads ADD COLUMN checksum BLOB;
ALTER TABLE reporter_states ADD COLUMN checksum BLOB;
