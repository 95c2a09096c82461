-- What an organization's documents say: products, customers and what is theirs.

-- Counts the changes of nouns, so that a reader knows when to read again.
ALTER TABLE organizations ADD COLUMN nouns_version INTEGER NOT NULL DEFAULT 0 CHECK (nouns_version >= 0);

-- Each row is a noun as it was from one instant until another. The first
-- version holds from the smallest integer, which means always; to_us is NULL
-- for the version that holds now, and a noun without one was removed.
CREATE TABLE nouns (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    kind         TEXT    NOT NULL CHECK (kind IN ('product', 'units', 'customer', 'service', 'contract', 'cp_code',
        'reporting_group', 'account_group', 'agent', 'test', 'entitlement')),
    customer     TEXT    NOT NULL, -- whose it is; '' = the organization's
    id           TEXT    NOT NULL CHECK (id <> ''),
    from_us      INTEGER NOT NULL,
    to_us        INTEGER CHECK (to_us > from_us),
    body         TEXT    NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (organization, kind, customer, id, from_us)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX nouns_hold_once ON nouns (organization, kind, customer, id) WHERE to_us IS NULL;
