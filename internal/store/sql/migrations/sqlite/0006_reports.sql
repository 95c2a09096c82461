-- What marketplaces were told, and what became of it. Quantities are decimal
-- texts, inside JSON too.

-- What was frozen of one entitlement for one hour. Only status, message and updated_us change.
CREATE TABLE reports (
    organization TEXT NOT NULL REFERENCES organizations (id),
    id           TEXT NOT NULL CHECK (id <> ''),
    serial       INTEGER NOT NULL CHECK (serial > 0), -- 1, 2, 3, ... within the organization
    entitlement  TEXT NOT NULL CHECK (entitlement <> ''),
    term         TEXT NOT NULL,
    buyer        TEXT NOT NULL,
    product      TEXT NOT NULL,
    partner      TEXT NOT NULL CHECK (partner <> ''),
    account      TEXT NOT NULL CHECK (account <> ''), -- who is billed, as the marketplace knows it
    hour_us      INTEGER NOT NULL, -- start of the hour
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('PENDING', 'SUCCESS', 'FAILED', 'PARKED', 'MOVED')),
    message      TEXT   NOT NULL DEFAULT '',
    info         TEXT   NOT NULL CHECK (json_valid(info)), -- prices, terms, groups and aggregates as they were
    PRIMARY KEY (organization, id)
) STRICT;

CREATE UNIQUE INDEX reports_serial ON reports (organization, serial);
CREATE INDEX reports_in_order ON reports (organization, created_us, serial);
CREATE INDEX reports_of_entitlement ON reports (organization, entitlement, created_us, serial);
CREATE INDEX reports_of_buyer ON reports (organization, buyer, created_us, serial);
CREATE INDEX reports_of_partner ON reports (organization, partner, created_us, serial);
CREATE INDEX reports_of_account ON reports (organization, account, hour_us);

-- One dimension of a report: where its usage went. Only state and what was sent change.
CREATE TABLE report_portions (
    organization TEXT NOT NULL,
    report       TEXT NOT NULL,
    dimension    TEXT NOT NULL CHECK (dimension <> ''),
    entitlement  TEXT NOT NULL,
    term         TEXT NOT NULL,
    account      TEXT NOT NULL,
    hour_us      INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('frozen', 'settled', 'refused', 'parked', 'moved')),
    body         TEXT   NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (organization, report, dimension),
    FOREIGN KEY (organization, report) REFERENCES reports (organization, id)
) STRICT;

CREATE INDEX report_portions_of_line ON report_portions (organization, account, dimension, hour_us);
CREATE INDEX report_portions_open ON report_portions (organization, entitlement) WHERE state IN ('frozen', 'parked');

-- The frozen payload: one line for each account, dimension and hour. The
-- quantity and the target never change.
CREATE TABLE report_lines (
    organization TEXT NOT NULL REFERENCES organizations (id),
    operation    TEXT NOT NULL CHECK (operation <> ''), -- the same for every attempt
    partner      TEXT NOT NULL,
    account      TEXT NOT NULL,
    dimension    TEXT NOT NULL,
    hour_us      INTEGER NOT NULL,
    quantity     TEXT   NOT NULL CHECK (quantity <> ''),
    target       TEXT   NOT NULL CHECK (json_valid(target)),
    state        TEXT NOT NULL CHECK (state IN ('frozen', 'settled', 'refused', 'parked', 'moved')),
    accepted     TEXT   NOT NULL DEFAULT '', -- what the marketplace holds
    maybe        INTEGER NOT NULL DEFAULT 0 CHECK (maybe IN (0, 1)), -- an attempt may have been accepted
    grace        INTEGER NOT NULL DEFAULT 0 CHECK (grace IN (0, 1)), -- the customer's state forbids it for now
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_us      INTEGER NOT NULL, -- not to be sent before
    deadline_us  INTEGER NOT NULL, -- not to be sent after
    lease        TEXT NOT NULL DEFAULT '',
    lease_us     INTEGER NOT NULL DEFAULT 0, -- until when
    fence        INTEGER NOT NULL DEFAULT 0, -- grows with each lease
    message      TEXT   NOT NULL DEFAULT '',
    request      TEXT   NOT NULL DEFAULT '',
    response     TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (organization, operation),
    UNIQUE (organization, account, dimension, hour_us)
) STRICT;

CREATE INDEX report_lines_to_send ON report_lines (next_us) WHERE state = 'frozen';
CREATE INDEX report_lines_stuck ON report_lines (organization, state) WHERE state IN ('frozen', 'parked', 'refused');

-- What is carried and used up, of an entitlement's term and dimension. It moves with settlement only.
CREATE TABLE report_balances (
    organization TEXT NOT NULL REFERENCES organizations (id),
    entitlement  TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('carry', 'credit', 'commit', 'included')),
    term         TEXT NOT NULL, -- '' for credit
    dimension    TEXT NOT NULL, -- '' for money
    period       TEXT NOT NULL, -- of the included quantity: a month, or '' for the term
    amount       TEXT   NOT NULL CHECK (amount <> ''),
    PRIMARY KEY (organization, entitlement, kind, term, dimension, period)
) STRICT;

-- What UNIQUE_COUNT has counted on a day, for each dimension it is billed as.
CREATE TABLE report_seen (
    organization TEXT NOT NULL REFERENCES organizations (id),
    entitlement  TEXT NOT NULL,
    dimension    TEXT NOT NULL, -- '' = of a metric that is not billed
    metric       TEXT NOT NULL,
    split        TEXT NOT NULL,
    day          TEXT NOT NULL,
    value        TEXT NOT NULL,
    report       TEXT NOT NULL,
    PRIMARY KEY (organization, entitlement, dimension, metric, split, day, value)
) STRICT;

-- What has been read of a dimension's meter.
CREATE TABLE report_reads (
    organization TEXT NOT NULL REFERENCES organizations (id),
    entitlement  TEXT NOT NULL,
    dimension    TEXT NOT NULL,
    period       TEXT NOT NULL, -- a month
    through_us   INTEGER NOT NULL, -- up to here
    value        TEXT   NOT NULL CHECK (value <> ''),
    PRIMARY KEY (organization, entitlement, dimension, period)
) STRICT;

-- Whether the reporter may work. No row = yes.
CREATE TABLE reporter_states (
    organization TEXT NOT NULL REFERENCES organizations (id),
    paused       INTEGER NOT NULL CHECK (paused IN (0, 1)),
    restored_us  INTEGER NOT NULL, -- what happened before may have been reported by what was lost
    reason       TEXT   NOT NULL,
    PRIMARY KEY (organization)
) STRICT;

CREATE INDEX record_groups_of_report ON record_groups (organization, report) WHERE report IS NOT NULL;
