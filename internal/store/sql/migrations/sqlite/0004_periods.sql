-- The billing months that are closed, with their figures. A month without a row is collecting.

CREATE TABLE periods (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    customer     TEXT    NOT NULL CHECK (customer <> ''),
    month        TEXT    NOT NULL CHECK (length(month) = 7), -- 2026-01
    closed_us    INTEGER NOT NULL,
    sequence     INTEGER NOT NULL CHECK (sequence >= 0), -- of the log, as of which the figures are
    figures      TEXT    NOT NULL CHECK (json_valid(figures)),
    PRIMARY KEY (organization, customer, month)
) STRICT;

CREATE TRIGGER periods_stay_as_closed BEFORE UPDATE ON periods
BEGIN
    SELECT RAISE (ABORT, 'a closed period is never changed');
END;

CREATE TRIGGER periods_stay BEFORE DELETE ON periods
BEGIN
    SELECT RAISE (ABORT, 'a closed period is never deleted');
END;
