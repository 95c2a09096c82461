-- Organizations, their keys, the copy of their meters, and the record of changes.
-- Instants are microseconds since 1970 UTC; NULL means never.

-- Which of these files the database holds.
CREATE TABLE schema_migrations (
    version    INTEGER NOT NULL PRIMARY KEY CHECK (version > 0),
    name       TEXT    NOT NULL,
    applied_us INTEGER NOT NULL
) STRICT;

CREATE TABLE organizations (
    id                 TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    name               TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
    customer_attribute TEXT    NOT NULL CHECK (length(customer_attribute) BETWEEN 1 AND 256),
    created_us         INTEGER NOT NULL,
    meters_sequence    INTEGER NOT NULL DEFAULT 0 CHECK (meters_sequence >= 0)
) STRICT;

CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization TEXT    NOT NULL REFERENCES organizations (id),
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'report', 'ingest', 'read')),
    kind         TEXT    NOT NULL CHECK (kind IN ('token')),
    customer     TEXT    CHECK (length(customer) BETWEEN 1 AND 256),
    operator     INTEGER NOT NULL CHECK (operator IN (0, 1)),
    hash         BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_us   INTEGER NOT NULL,
    expires_us   INTEGER CHECK (expires_us > created_us),
    revoked_us   INTEGER,
    used_us      INTEGER,
    CHECK (customer IS NULL OR role <> 'admin'),
    CHECK (operator = 0 OR role = 'admin')
) STRICT;

CREATE INDEX keys_in_order ON keys (organization, created_us, id);
CREATE INDEX keys_live ON keys (organization) WHERE revoked_us IS NULL;

CREATE TABLE meters (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    key          TEXT    NOT NULL CHECK (key <> ''),
    version      INTEGER NOT NULL CHECK (version BETWEEN 0 AND 4294967295),
    definition   TEXT    NOT NULL CHECK (json_valid(definition)),
    sequence     INTEGER NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (organization, key)
) STRICT;

-- Numbered per organization without gaps, so that no number tells of another's activity.
CREATE TABLE audit_entries (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    number       INTEGER NOT NULL CHECK (number > 0),
    time_us      INTEGER NOT NULL,
    actor        TEXT    NOT NULL CHECK (actor <> ''),
    action       TEXT    NOT NULL CHECK (action IN ('create', 'update', 'revoke', 'delete')),
    noun         TEXT    NOT NULL CHECK (noun <> ''),
    noun_id      TEXT    NOT NULL CHECK (noun_id <> ''),
    before       TEXT    CHECK (json_valid(before)),
    after        TEXT    CHECK (json_valid(after)),
    PRIMARY KEY (organization, number)
) STRICT;

CREATE TRIGGER audit_entries_stay_as_written BEFORE UPDATE ON audit_entries
BEGIN
    SELECT RAISE (ABORT, 'audit entries are never changed');
END;

CREATE TRIGGER audit_entries_stay BEFORE DELETE ON audit_entries
BEGIN
    SELECT RAISE (ABORT, 'audit entries are never deleted');
END;
