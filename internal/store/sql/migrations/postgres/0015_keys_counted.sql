-- How many keys an organization has is kept, and keys are found by what is asked of them, however many there are.

ALTER TABLE organizations ADD COLUMN live_keys BIGINT NOT NULL DEFAULT 0 CHECK (live_keys >= 0); -- that are not revoked

UPDATE organizations
SET live_keys = (SELECT count(*) FROM keys WHERE keys.organization = organizations.id AND keys.revoked_us IS NULL);

DROP INDEX keys_live;
CREATE INDEX keys_admins ON keys (organization) WHERE role = 'admin' AND kind = 'token' AND revoked_us IS NULL;
CREATE INDEX keys_with_sources ON keys (organization) WHERE sources <> '' AND revoked_us IS NULL;
CREATE INDEX keys_by_use ON keys (coalesce(used_us, 0)) WHERE revoked_us IS NULL;
