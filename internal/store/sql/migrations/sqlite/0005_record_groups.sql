-- Usage that is reported against entitlements: how dimensions are mapped, credits,
-- billable metrics, usage record groups, and the keys that make a client's retry safe.
-- Quantities are decimal texts, inside JSON too.

-- How one partner's usage is mapped and billed.
CREATE TABLE metering_configs (
    organization TEXT NOT NULL REFERENCES organizations (id),
    partner      TEXT NOT NULL CHECK (partner <> ''),
    config       TEXT   NOT NULL CHECK (json_valid(config)),
    PRIMARY KEY (organization, partner)
) STRICT;

-- Money that an entitlement was given. It only grows: rows are never changed or deleted.
CREATE TABLE entitlement_credits (
    organization TEXT NOT NULL REFERENCES organizations (id),
    entitlement  TEXT NOT NULL CHECK (entitlement <> ''),
    number       INTEGER NOT NULL CHECK (number > 0), -- 1, 2, 3, ... within the entitlement
    amount       TEXT   NOT NULL CHECK (amount <> ''),
    time_us      INTEGER NOT NULL,
    actor        TEXT   NOT NULL CHECK (actor <> ''),
    PRIMARY KEY (organization, entitlement, number)
) STRICT;

CREATE TRIGGER entitlement_credits_stay_as_given BEFORE UPDATE ON entitlement_credits
BEGIN
    SELECT RAISE (ABORT, 'a credit is never changed');
END;

CREATE TRIGGER entitlement_credits_stay BEFORE DELETE ON entitlement_credits
BEGIN
    SELECT RAISE (ABORT, 'a credit is never deleted');
END;

-- The meters that are billable metrics, as they were asked for; the meter has
-- the metric's id as its key, and its name, description and status.
CREATE TABLE billable_metrics (
    organization TEXT NOT NULL REFERENCES organizations (id),
    id           TEXT NOT NULL CHECK (length(CAST(id AS BLOB)) BETWEEN 1 AND 36),
    definition   TEXT   NOT NULL CHECK (json_valid(definition)), -- the meter
    info         TEXT   NOT NULL CHECK (json_valid(info)),
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

-- Usage as it was reported. Only status, posted, settled and the report change.
CREATE TABLE record_groups (
    organization TEXT NOT NULL REFERENCES organizations (id),
    id           TEXT NOT NULL CHECK (length(CAST(id AS BLOB)) BETWEEN 1 AND 36), -- consumed for ever
    serial       INTEGER NOT NULL CHECK (serial > 0), -- 1, 2, 3, ... within the organization
    entitlement  TEXT NOT NULL CHECK (entitlement <> ''),
    customer     TEXT NOT NULL CHECK (customer <> ''),
    buyer        TEXT NOT NULL CHECK (buyer <> ''),
    partner      TEXT NOT NULL CHECK (partner <> ''),
    product      TEXT NOT NULL CHECK (product <> ''),
    status       TEXT NOT NULL CHECK (status IN ('CREATED', 'INVALID', 'REPORT_PENDING', 'REPORTED', 'REPORT_FAILED', 'DELETED')),
    usage_us     INTEGER NOT NULL, -- when the usage happened
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    source       TEXT NOT NULL,
    origin       TEXT   NOT NULL CHECK (json_valid(origin)),   -- quantities by key before mapping
    records      TEXT   NOT NULL CHECK (json_valid(records)),  -- quantities by dimension after it
    billable     TEXT   NOT NULL CHECK (json_valid(billable)), -- records of billable metrics
    message      TEXT   NOT NULL DEFAULT '', -- why the group is INVALID or REPORT_FAILED
    posted       INTEGER NOT NULL CHECK (posted BETWEEN 0 AND 3), -- events to post, posted, void to post, nothing to post
    settled      TEXT   NOT NULL DEFAULT '[]' CHECK (json_valid(settled)), -- dimensions that a marketplace has accepted
    report       TEXT, -- that claimed the group
    reported_us  INTEGER,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE UNIQUE INDEX record_groups_serial ON record_groups (organization, serial);
CREATE INDEX record_groups_in_order ON record_groups (organization, created_us, serial);
CREATE INDEX record_groups_of_entitlement ON record_groups (organization, entitlement, created_us, serial);
CREATE INDEX record_groups_to_report ON record_groups (organization, entitlement, usage_us) WHERE status IN ('CREATED', 'REPORT_PENDING');
CREATE INDEX record_groups_to_post ON record_groups (organization, serial) WHERE posted IN (0, 2);

-- Answers by the key of the request, so that a request sent again does nothing twice.
CREATE TABLE idempotency_keys (
    organization TEXT NOT NULL REFERENCES organizations (id),
    scope        TEXT NOT NULL CHECK (scope <> ''), -- the operation
    key          TEXT NOT NULL CHECK (key <> ''),
    request      TEXT NOT NULL CHECK (request <> ''), -- SHA-256 of what was asked, in hex
    answer       TEXT   NOT NULL CHECK (json_valid(answer)),
    created_us   INTEGER NOT NULL,
    PRIMARY KEY (organization, scope, key)
) STRICT;

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_us);
