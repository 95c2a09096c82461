-- What a key bound to a customer may send as the source of its events, and how
-- refusals are answered to a key.
ALTER TABLE keys ADD COLUMN sources TEXT NOT NULL DEFAULT ''; -- prefixes, one a line; none = any
ALTER TABLE keys ADD COLUMN strict SMALLINT NOT NULL DEFAULT 0 CHECK (strict IN (0, 1));
