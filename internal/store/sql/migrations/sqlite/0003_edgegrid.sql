-- EdgeGrid credentials are a kind of key; any key may name accounts and an account group.
-- SQLite cannot change a constraint, so the table is made anew. Nothing refers to it.

CREATE TABLE keys_anew (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization TEXT    NOT NULL REFERENCES organizations (id),
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'report', 'ingest', 'read')),
    kind         TEXT    NOT NULL CHECK (kind IN ('token', 'edgegrid')),
    customer     TEXT    CHECK (length(customer) BETWEEN 1 AND 256),
    operator     INTEGER NOT NULL CHECK (operator IN (0, 1)),
    hash         BLOB    UNIQUE CHECK (length(hash) = 32), -- of a token's secret
    created_us   INTEGER NOT NULL,
    expires_us   INTEGER CHECK (expires_us > created_us),
    revoked_us   INTEGER,
    used_us      INTEGER,
    accounts     TEXT    NOT NULL DEFAULT '', -- that may be switched to, one a line
    default_aid  TEXT    NOT NULL DEFAULT '',
    client_token TEXT    UNIQUE,
    access_token TEXT    UNIQUE,
    secret       BLOB, -- the client secret, encrypted under the key file
    CHECK (customer IS NULL OR role <> 'admin'),
    CHECK (operator = 0 OR role = 'admin'),
    CHECK ((kind = 'token') = (hash IS NOT NULL)),
    CHECK ((kind = 'edgegrid') = (client_token IS NOT NULL AND access_token IS NOT NULL AND secret IS NOT NULL))
) STRICT;

INSERT INTO keys_anew (id, organization, role, kind, customer, operator, hash, created_us, expires_us, revoked_us, used_us)
SELECT id, organization, role, kind, customer, operator, hash, created_us, expires_us, revoked_us, used_us
FROM keys;

DROP TABLE keys;

ALTER TABLE keys_anew RENAME TO keys;

CREATE INDEX keys_in_order ON keys (organization, created_us, id);
CREATE INDEX keys_live ON keys (organization) WHERE revoked_us IS NULL;
