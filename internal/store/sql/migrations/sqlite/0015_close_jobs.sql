-- The jobs that close a month for all customers: what they are to do, and how far they are.

CREATE TABLE close_jobs (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    id           INTEGER NOT NULL CHECK (id > 0), -- 1, 2, 3, ... within the organization
    month        TEXT    NOT NULL CHECK (length(month) = 7), -- 2026-01
    actor        TEXT    NOT NULL CHECK (actor <> ''), -- who asked for it
    created_us   INTEGER NOT NULL,
    sequence     INTEGER NOT NULL CHECK (sequence >= 0), -- of the log, as of which all figures are; set when it begins
    begun_us     INTEGER, -- NULL = it waits
    ended_us     INTEGER, -- NULL = it is to go on
    customers    INTEGER NOT NULL DEFAULT 0, -- whose month was open
    closed       INTEGER NOT NULL DEFAULT 0, -- of them, by this job
    failed       INTEGER NOT NULL DEFAULT 0, -- of them, with the cause of the first
    error        TEXT    NOT NULL DEFAULT '',
    checksum     BLOB,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE UNIQUE INDEX close_jobs_open ON close_jobs (organization, month) WHERE ended_us IS NULL;
