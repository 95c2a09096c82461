-- What marketplaces were told, and what became of it. Quantities are decimal
-- texts, inside JSON too.

-- What was frozen of one entitlement for one hour. Only status, message and updated_us change.
CREATE TABLE reports (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL CHECK (id <> ''),
    serial       BIGINT NOT NULL CHECK (serial > 0), -- 1, 2, 3, ... within the organization
    entitlement  TEXT COLLATE "C" NOT NULL CHECK (entitlement <> ''),
    term         TEXT COLLATE "C" NOT NULL,
    buyer        TEXT COLLATE "C" NOT NULL,
    product      TEXT COLLATE "C" NOT NULL,
    partner      TEXT COLLATE "C" NOT NULL CHECK (partner <> ''),
    account      TEXT COLLATE "C" NOT NULL CHECK (account <> ''), -- who is billed, as the marketplace knows it
    hour_us      BIGINT NOT NULL, -- start of the hour
    created_us   BIGINT NOT NULL,
    updated_us   BIGINT NOT NULL,
    status       TEXT COLLATE "C" NOT NULL CHECK (status IN ('PENDING', 'SUCCESS', 'FAILED', 'PARKED', 'MOVED')),
    message      TEXT   NOT NULL DEFAULT '',
    info         TEXT   NOT NULL CHECK (info::json IS NOT NULL), -- prices, terms, groups and aggregates as they were
    PRIMARY KEY (organization, id)
);

CREATE UNIQUE INDEX reports_serial ON reports (organization, serial);
CREATE INDEX reports_in_order ON reports (organization, created_us, serial);
CREATE INDEX reports_of_entitlement ON reports (organization, entitlement, created_us, serial);
CREATE INDEX reports_of_buyer ON reports (organization, buyer, created_us, serial);
CREATE INDEX reports_of_partner ON reports (organization, partner, created_us, serial);
CREATE INDEX reports_of_account ON reports (organization, account, hour_us);

-- One dimension of a report: where its usage went. Only state and what was sent change.
CREATE TABLE report_portions (
    organization TEXT COLLATE "C" NOT NULL,
    report       TEXT COLLATE "C" NOT NULL,
    dimension    TEXT COLLATE "C" NOT NULL CHECK (dimension <> ''),
    entitlement  TEXT COLLATE "C" NOT NULL,
    term         TEXT COLLATE "C" NOT NULL,
    account      TEXT COLLATE "C" NOT NULL,
    hour_us      BIGINT NOT NULL,
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('frozen', 'settled', 'refused', 'parked', 'moved')),
    body         TEXT   NOT NULL CHECK (body::json IS NOT NULL),
    PRIMARY KEY (organization, report, dimension),
    FOREIGN KEY (organization, report) REFERENCES reports (organization, id)
);

CREATE INDEX report_portions_of_line ON report_portions (organization, account, dimension, hour_us);
CREATE INDEX report_portions_open ON report_portions (organization, entitlement) WHERE state IN ('frozen', 'parked');

-- The frozen payload: one line for each account, dimension and hour. The
-- quantity and the target never change.
CREATE TABLE report_lines (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    operation    TEXT COLLATE "C" NOT NULL CHECK (operation <> ''), -- the same for every attempt
    partner      TEXT COLLATE "C" NOT NULL,
    account      TEXT COLLATE "C" NOT NULL,
    dimension    TEXT COLLATE "C" NOT NULL,
    hour_us      BIGINT NOT NULL,
    quantity     TEXT   NOT NULL CHECK (quantity <> ''),
    target       TEXT   NOT NULL CHECK (target::json IS NOT NULL),
    state        TEXT COLLATE "C" NOT NULL CHECK (state IN ('frozen', 'settled', 'refused', 'parked', 'moved')),
    accepted     TEXT   NOT NULL DEFAULT '', -- what the marketplace holds
    maybe        BIGINT NOT NULL DEFAULT 0 CHECK (maybe IN (0, 1)), -- an attempt may have been accepted
    grace        BIGINT NOT NULL DEFAULT 0 CHECK (grace IN (0, 1)), -- the customer's state forbids it for now
    attempts     BIGINT NOT NULL DEFAULT 0,
    next_us      BIGINT NOT NULL, -- not to be sent before
    deadline_us  BIGINT NOT NULL, -- not to be sent after
    lease        TEXT COLLATE "C" NOT NULL DEFAULT '',
    lease_us     BIGINT NOT NULL DEFAULT 0, -- until when
    fence        BIGINT NOT NULL DEFAULT 0, -- grows with each lease
    message      TEXT   NOT NULL DEFAULT '',
    request      TEXT   NOT NULL DEFAULT '',
    response     TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (organization, operation),
    UNIQUE (organization, account, dimension, hour_us)
);

CREATE INDEX report_lines_to_send ON report_lines (next_us) WHERE state = 'frozen';
CREATE INDEX report_lines_stuck ON report_lines (organization, state) WHERE state IN ('frozen', 'parked', 'refused');

-- What is carried and used up, of an entitlement's term and dimension. It moves with settlement only.
CREATE TABLE report_balances (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    entitlement  TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('carry', 'credit', 'commit', 'included')),
    term         TEXT COLLATE "C" NOT NULL, -- '' for credit
    dimension    TEXT COLLATE "C" NOT NULL, -- '' for money
    period       TEXT COLLATE "C" NOT NULL, -- of the included quantity: a month, or '' for the term
    amount       TEXT   NOT NULL CHECK (amount <> ''),
    PRIMARY KEY (organization, entitlement, kind, term, dimension, period)
);

-- What UNIQUE_COUNT has counted on a day, for each dimension it is billed as.
CREATE TABLE report_seen (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    entitlement  TEXT COLLATE "C" NOT NULL,
    dimension    TEXT COLLATE "C" NOT NULL, -- '' = of a metric that is not billed
    metric       TEXT COLLATE "C" NOT NULL,
    split        TEXT COLLATE "C" NOT NULL,
    day          TEXT COLLATE "C" NOT NULL,
    value        TEXT COLLATE "C" NOT NULL,
    report       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, entitlement, dimension, metric, split, day, value)
);

-- What has been read of a dimension's meter.
CREATE TABLE report_reads (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    entitlement  TEXT COLLATE "C" NOT NULL,
    dimension    TEXT COLLATE "C" NOT NULL,
    period       TEXT COLLATE "C" NOT NULL, -- a month
    through_us   BIGINT NOT NULL, -- up to here
    value        TEXT   NOT NULL CHECK (value <> ''),
    PRIMARY KEY (organization, entitlement, dimension, period)
);

-- Whether the reporter may work. No row = yes.
CREATE TABLE reporter_states (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    paused       BIGINT NOT NULL CHECK (paused IN (0, 1)),
    restored_us  BIGINT NOT NULL, -- what happened before may have been reported by what was lost
    reason       TEXT   NOT NULL,
    PRIMARY KEY (organization)
);

CREATE INDEX record_groups_of_report ON record_groups (organization, report) WHERE report IS NOT NULL;
