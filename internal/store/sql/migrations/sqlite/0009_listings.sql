-- What an operator lets organizations report to marketplaces, and whose accounts are.

-- '*' is everything of a partner that no organization was given by name.
CREATE TABLE marketplace_listings (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    partner      TEXT    NOT NULL CHECK (partner IN ('AWS', 'AZURE', 'GCP')),
    listing      TEXT    NOT NULL CHECK (listing <> ''),
    created_us   INTEGER NOT NULL,
    PRIMARY KEY (organization, partner, listing)
) STRICT;

CREATE INDEX marketplace_listings_by_name ON marketplace_listings (partner, listing);

-- The organization that bills an account. It holds for as long as that
-- organization may use the listing and has an entitlement of the account.
CREATE TABLE marketplace_accounts (
    account      TEXT    NOT NULL PRIMARY KEY CHECK (account <> ''),
    organization TEXT    NOT NULL REFERENCES organizations (id),
    taken_us     INTEGER NOT NULL
) STRICT;

CREATE INDEX marketplace_accounts_of ON marketplace_accounts (organization);

-- The first organization could always report.
INSERT INTO marketplace_listings (organization, partner, listing, created_us)
SELECT id, 'AWS', '*', created_us FROM organizations WHERE id = 'default'
UNION ALL SELECT id, 'AZURE', '*', created_us FROM organizations WHERE id = 'default'
UNION ALL SELECT id, 'GCP', '*', created_us FROM organizations WHERE id = 'default';
