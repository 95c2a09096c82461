-- What a change that read all nouns has found out of them is known after a start, too.

ALTER TABLE organizations ADD COLUMN nouns_sound BIGINT NOT NULL DEFAULT -1; -- nouns_version as of which all nouns are sound; -1 = none
ALTER TABLE organizations ADD COLUMN nouns_sound_by TEXT NOT NULL DEFAULT ''; -- which build found it, with which meters
