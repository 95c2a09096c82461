-- The billing months that are closed, with their figures. A month without a row is collecting.

CREATE TABLE periods (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    customer     TEXT COLLATE "C" NOT NULL CHECK (customer <> ''),
    month        TEXT COLLATE "C" NOT NULL CHECK (length(month) = 7), -- 2026-01
    closed_us    BIGINT NOT NULL,
    sequence     BIGINT NOT NULL CHECK (sequence >= 0), -- of the log, as of which the figures are
    figures      TEXT   NOT NULL CHECK (figures::json IS NOT NULL),
    PRIMARY KEY (organization, customer, month)
);

CREATE FUNCTION periods_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a closed period is never changed or deleted';
END
$$;

CREATE TRIGGER periods_stay BEFORE UPDATE OR DELETE ON periods
FOR EACH ROW EXECUTE FUNCTION periods_refuse();

CREATE TRIGGER periods_stay_all BEFORE TRUNCATE ON periods
FOR EACH STATEMENT EXECUTE FUNCTION periods_refuse();
