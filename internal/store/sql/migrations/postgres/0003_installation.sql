-- What processes that share the catalogue agree on, in one row.

CREATE TABLE installation (
    one          SMALLINT NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    ledger       TEXT     CHECK (length(ledger) BETWEEN 1 AND 64), -- whose catalogue this is; NULL = nobody's yet
    keys_version BIGINT   NOT NULL DEFAULT 0 -- counts the changes of keys
);

INSERT INTO installation DEFAULT VALUES;

-- Every process holds the keys in memory: it hears of a change when that is
-- committed, and finds one that it did not hear of by the number.
CREATE FUNCTION keys_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I.installation SET keys_version = keys_version + 1', TG_TABLE_SCHEMA);
    PERFORM pg_notify('odometer_keys', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;

CREATE TRIGGER keys_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF revoked_us ON keys
FOR EACH STATEMENT EXECUTE FUNCTION keys_tell();
