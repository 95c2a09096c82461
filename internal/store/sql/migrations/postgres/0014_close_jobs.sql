-- The jobs that close a month for all customers: what they are to do, and how far they are.

CREATE TABLE close_jobs (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           BIGINT NOT NULL CHECK (id > 0), -- 1, 2, 3, ... within the organization
    month        TEXT COLLATE "C" NOT NULL CHECK (length(month) = 7), -- 2026-01
    actor        TEXT   NOT NULL CHECK (actor <> ''), -- who asked for it
    created_us   BIGINT NOT NULL,
    sequence     BIGINT NOT NULL CHECK (sequence >= 0), -- of the log, as of which all figures are; set when it begins
    begun_us     BIGINT, -- NULL = it waits
    ended_us     BIGINT, -- NULL = it is to go on
    customers    BIGINT NOT NULL DEFAULT 0, -- whose month was open
    closed       BIGINT NOT NULL DEFAULT 0, -- of them, by this job
    failed       BIGINT NOT NULL DEFAULT 0, -- of them, with the cause of the first
    error        TEXT   NOT NULL DEFAULT '',
    checksum     BYTEA,
    PRIMARY KEY (organization, id)
);

CREATE UNIQUE INDEX close_jobs_open ON close_jobs (organization, month) WHERE ended_us IS NULL;
