-- What a key calls a usage record group is its own: the id of one that a key bound to a
-- customer reports is derived of both, and name is what the reporter calls it.
ALTER TABLE record_groups ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE record_groups SET name = id;
CREATE UNIQUE INDEX record_groups_named ON record_groups (organization, name, entitlement);
