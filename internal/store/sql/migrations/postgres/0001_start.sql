-- Organizations, their keys, the copy of their meters, the record of changes,
-- and what an organization's documents say.
-- Instants are microseconds since 1970 UTC; NULL means never. Texts are compared byte by byte.

-- Which of these files the database holds.
CREATE TABLE schema_migrations (
    version    BIGINT NOT NULL PRIMARY KEY CHECK (version > 0),
    name       TEXT   NOT NULL,
    applied_us BIGINT NOT NULL
);

CREATE TABLE organizations (
    id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    name               TEXT   NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
    customer_attribute TEXT   NOT NULL CHECK (length(customer_attribute) BETWEEN 1 AND 256),
    created_us         BIGINT NOT NULL,
    meters_sequence    BIGINT NOT NULL DEFAULT 0 CHECK (meters_sequence >= 0),
    nouns_version      BIGINT NOT NULL DEFAULT 0 CHECK (nouns_version >= 0) -- counts the changes of nouns
);

CREATE TABLE keys (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    role         TEXT     NOT NULL CHECK (role IN ('admin', 'report', 'ingest', 'read')),
    kind         TEXT     NOT NULL CHECK (kind IN ('token', 'edgegrid')),
    customer     TEXT     CHECK (length(customer) BETWEEN 1 AND 256),
    operator     SMALLINT NOT NULL CHECK (operator IN (0, 1)),
    hash         BYTEA    UNIQUE CHECK (length(hash) = 32), -- of a token's secret
    created_us   BIGINT   NOT NULL,
    expires_us   BIGINT   CHECK (expires_us > created_us),
    revoked_us   BIGINT,
    used_us      BIGINT,
    accounts     TEXT     NOT NULL DEFAULT '', -- that may be switched to, one a line
    default_aid  TEXT     NOT NULL DEFAULT '',
    client_token TEXT     UNIQUE,
    access_token TEXT     UNIQUE,
    secret       BYTEA, -- the client secret, encrypted under the key file
    CHECK (customer IS NULL OR role <> 'admin'),
    CHECK (operator = 0 OR role = 'admin'),
    CHECK ((kind = 'token') = (hash IS NOT NULL)),
    CHECK ((kind = 'edgegrid') = (client_token IS NOT NULL AND access_token IS NOT NULL AND secret IS NOT NULL))
);

CREATE INDEX keys_in_order ON keys (organization, created_us, id);
CREATE INDEX keys_live ON keys (organization) WHERE revoked_us IS NULL;

CREATE TABLE meters (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    key          TEXT COLLATE "C" NOT NULL CHECK (key <> ''),
    version      BIGINT NOT NULL CHECK (version BETWEEN 0 AND 4294967295),
    definition   TEXT   NOT NULL CHECK (definition::json IS NOT NULL),
    sequence     BIGINT NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (organization, key)
);

-- Numbered per organization without gaps, so that no number tells of another's activity.
CREATE TABLE audit_entries (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    number       BIGINT NOT NULL CHECK (number > 0),
    time_us      BIGINT NOT NULL,
    actor        TEXT   NOT NULL CHECK (actor <> ''),
    action       TEXT   NOT NULL CHECK (action IN ('create', 'update', 'revoke', 'delete')),
    noun         TEXT   NOT NULL CHECK (noun <> ''),
    noun_id      TEXT   NOT NULL CHECK (noun_id <> ''),
    before       TEXT   CHECK (before IS NULL OR before::json IS NOT NULL),
    after        TEXT   CHECK (after IS NULL OR after::json IS NOT NULL),
    PRIMARY KEY (organization, number)
);

CREATE FUNCTION audit_entries_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are never changed or deleted';
END
$$;

CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION audit_entries_refuse();

CREATE TRIGGER audit_entries_stay_all BEFORE TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_refuse();

-- Each row is a noun as it was from one instant until another. The first
-- version holds from the smallest integer, which means always; to_us is NULL
-- for the version that holds now, and a noun without one was removed.
CREATE TABLE nouns (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('product', 'units', 'customer', 'service', 'contract', 'cp_code',
        'reporting_group', 'account_group', 'agent', 'test', 'entitlement')),
    customer     TEXT COLLATE "C" NOT NULL, -- whose it is; '' = the organization's
    id           TEXT COLLATE "C" NOT NULL CHECK (id <> ''),
    from_us      BIGINT NOT NULL,
    to_us        BIGINT CHECK (to_us > from_us),
    body         TEXT   NOT NULL CHECK (body::json IS NOT NULL),
    PRIMARY KEY (organization, kind, customer, id, from_us)
);

CREATE UNIQUE INDEX nouns_hold_once ON nouns (organization, kind, customer, id) WHERE to_us IS NULL;
