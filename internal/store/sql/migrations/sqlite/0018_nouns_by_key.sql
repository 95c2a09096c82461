-- Nouns are found by what is asked of them, and counted, without reading all.

ALTER TABLE organizations ADD COLUMN live_nouns INTEGER NOT NULL DEFAULT 0 CHECK (live_nouns >= 0); -- that hold now

UPDATE organizations
SET live_nouns = (SELECT count(*) FROM nouns WHERE nouns.organization = organizations.id AND nouns.to_us IS NULL);

-- Customers' own nouns that are found by an id which exists once. The
-- organization is written as no other index has it, so that this one serves.
CREATE INDEX nouns_once ON nouns ((organization || ''), id) WHERE kind IN ('contract', 'cp_code', 'reporting_group', 'account_group');

-- Where something is to be found that is asked for from outside a customer. A
-- row says where it may be: what has changed since leaves it.
CREATE TABLE noun_links (
    organization TEXT NOT NULL REFERENCES organizations (id),
    kind         TEXT NOT NULL CHECK (kind IN ('account', 'billed')), -- an account id leads to its customer, a customer to contracts that name it
    target       TEXT NOT NULL,
    customer     TEXT NOT NULL,
    id           TEXT NOT NULL, -- of the contract; '' = none
    PRIMARY KEY (organization, kind, target, customer, id)
) STRICT, WITHOUT ROWID;

INSERT INTO noun_links
SELECT DISTINCT organization, 'account', json_extract(body, '$.account_id'), id, ''
FROM nouns
WHERE kind = 'customer' AND json_extract(body, '$.account_id') <> '';

INSERT INTO noun_links
SELECT DISTINCT n.organization, 'billed', c.value, n.customer, n.id
FROM nouns n, json_each(n.body, '$.customers') c
WHERE n.kind = 'contract';

CREATE INDEX noun_links_of ON noun_links (organization, customer, id);

-- How many nouns that hold now name a product.
CREATE TABLE product_uses (
    organization TEXT    NOT NULL REFERENCES organizations (id),
    product      TEXT    NOT NULL,
    contracts    INTEGER NOT NULL,
    cp_codes     INTEGER NOT NULL,
    PRIMARY KEY (organization, product)
) STRICT, WITHOUT ROWID;

INSERT INTO product_uses
SELECT organization, product, sum(contract), sum(code)
FROM (
    SELECT DISTINCT n.organization, p.value AS product, n.customer, n.id, 1 AS contract, 0 AS code
    FROM nouns n, json_each(n.body, '$.terms') t, json_each(t.value, '$.products') p
    WHERE n.kind = 'contract' AND n.to_us IS NULL
    UNION ALL
    SELECT organization, json_extract(body, '$.product'), customer, id, 0, 1
    FROM nouns
    WHERE kind = 'cp_code' AND to_us IS NULL AND json_extract(body, '$.product') <> ''
)
GROUP BY organization, product;
