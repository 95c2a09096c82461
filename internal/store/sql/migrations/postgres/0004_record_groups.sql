-- Usage that is reported against entitlements: how dimensions are mapped, credits,
-- billable metrics, usage record groups, and the keys that make a client's retry safe.
-- Quantities are decimal texts, inside JSON too.

-- How one partner's usage is mapped and billed.
CREATE TABLE metering_configs (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    partner      TEXT COLLATE "C" NOT NULL CHECK (partner <> ''),
    config       TEXT   NOT NULL CHECK (config::json IS NOT NULL),
    PRIMARY KEY (organization, partner)
);

-- Money that an entitlement was given. It only grows: rows are never changed or deleted.
CREATE TABLE entitlement_credits (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    entitlement  TEXT COLLATE "C" NOT NULL CHECK (entitlement <> ''),
    number       BIGINT NOT NULL CHECK (number > 0), -- 1, 2, 3, ... within the entitlement
    amount       TEXT   NOT NULL CHECK (amount <> ''),
    time_us      BIGINT NOT NULL,
    actor        TEXT   NOT NULL CHECK (actor <> ''),
    PRIMARY KEY (organization, entitlement, number)
);

CREATE FUNCTION entitlement_credits_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a credit is never changed or deleted';
END
$$;

CREATE TRIGGER entitlement_credits_stay BEFORE UPDATE OR DELETE ON entitlement_credits
FOR EACH ROW EXECUTE FUNCTION entitlement_credits_refuse();

CREATE TRIGGER entitlement_credits_stay_all BEFORE TRUNCATE ON entitlement_credits
FOR EACH STATEMENT EXECUTE FUNCTION entitlement_credits_refuse();

-- The meters that are billable metrics, as they were asked for; the meter has
-- the metric's id as its key, and its name, description and status.
CREATE TABLE billable_metrics (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 36),
    definition   TEXT   NOT NULL CHECK (definition::json IS NOT NULL), -- the meter
    info         TEXT   NOT NULL CHECK (info::json IS NOT NULL),
    created_us   BIGINT NOT NULL,
    updated_us   BIGINT NOT NULL,
    PRIMARY KEY (organization, id)
);

-- Usage as it was reported. Only status, posted, settled and the report change.
CREATE TABLE record_groups (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 36), -- consumed for ever
    serial       INTEGER NOT NULL CHECK (serial > 0), -- 1, 2, 3, ... within the organization
    entitlement  TEXT COLLATE "C" NOT NULL CHECK (entitlement <> ''),
    customer     TEXT COLLATE "C" NOT NULL CHECK (customer <> ''),
    buyer        TEXT COLLATE "C" NOT NULL CHECK (buyer <> ''),
    partner      TEXT COLLATE "C" NOT NULL CHECK (partner <> ''),
    product      TEXT COLLATE "C" NOT NULL CHECK (product <> ''),
    status       TEXT COLLATE "C" NOT NULL CHECK (status IN ('CREATED', 'INVALID', 'REPORT_PENDING', 'REPORTED', 'REPORT_FAILED', 'DELETED')),
    usage_us     BIGINT NOT NULL, -- when the usage happened
    created_us   BIGINT NOT NULL,
    updated_us   BIGINT NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    origin       TEXT   NOT NULL CHECK (origin::json IS NOT NULL),   -- quantities by key before mapping
    records      TEXT   NOT NULL CHECK (records::json IS NOT NULL),  -- quantities by dimension after it
    billable     TEXT   NOT NULL CHECK (billable::json IS NOT NULL), -- records of billable metrics
    message      TEXT   NOT NULL DEFAULT '', -- why the group is INVALID or REPORT_FAILED
    posted       SMALLINT NOT NULL CHECK (posted BETWEEN 0 AND 3), -- events to post, posted, void to post, nothing to post
    settled      TEXT   NOT NULL DEFAULT '[]' CHECK (settled::json IS NOT NULL), -- dimensions that a marketplace has accepted
    report       TEXT COLLATE "C", -- that claimed the group
    reported_us  BIGINT,
    PRIMARY KEY (organization, id)
);

CREATE UNIQUE INDEX record_groups_serial ON record_groups (organization, serial);
CREATE INDEX record_groups_in_order ON record_groups (organization, created_us, serial);
CREATE INDEX record_groups_of_entitlement ON record_groups (organization, entitlement, created_us, serial);
CREATE INDEX record_groups_to_report ON record_groups (organization, entitlement, usage_us) WHERE status IN ('CREATED', 'REPORT_PENDING');
CREATE INDEX record_groups_to_post ON record_groups (organization, serial) WHERE posted IN (0, 2);

-- Answers by the key of the request, so that a request sent again does nothing twice.
CREATE TABLE idempotency_keys (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    scope        TEXT COLLATE "C" NOT NULL CHECK (scope <> ''), -- the operation
    key          TEXT COLLATE "C" NOT NULL CHECK (key <> ''),
    request      TEXT COLLATE "C" NOT NULL CHECK (request <> ''), -- SHA-256 of what was asked, in hex
    answer       TEXT   NOT NULL CHECK (answer::json IS NOT NULL),
    created_us   BIGINT NOT NULL,
    PRIMARY KEY (organization, scope, key)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_us);
