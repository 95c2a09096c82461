-- Nouns are found by what is asked of them, and counted, without reading all.

ALTER TABLE organizations ADD COLUMN live_nouns BIGINT NOT NULL DEFAULT 0 CHECK (live_nouns >= 0); -- that hold now

UPDATE organizations
SET live_nouns = (SELECT count(*) FROM nouns WHERE nouns.organization = organizations.id AND nouns.to_us IS NULL);

-- Customers' own nouns that are found by an id which exists once. The
-- organization is written as no other index has it, so that this one serves.
CREATE INDEX nouns_once ON nouns ((organization || ''), id) WHERE kind IN ('contract', 'cp_code', 'reporting_group', 'account_group');

-- Where something is to be found that is asked for from outside a customer. A
-- row says where it may be: what has changed since leaves it.
CREATE TABLE noun_links (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('account', 'billed')), -- an account id leads to its customer, a customer to contracts that name it
    target       TEXT COLLATE "C" NOT NULL,
    customer     TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL, -- of the contract; '' = none
    PRIMARY KEY (organization, kind, target, customer, id)
);

INSERT INTO noun_links
SELECT DISTINCT organization, 'account', body::json->>'account_id', id, ''
FROM nouns
WHERE kind = 'customer' AND body::json->>'account_id' <> '';

INSERT INTO noun_links
SELECT DISTINCT n.organization, 'billed', c.value, n.customer, n.id
FROM nouns n, json_array_elements_text(coalesce(n.body::json->'customers', '[]')) c (value)
WHERE n.kind = 'contract';

CREATE INDEX noun_links_of ON noun_links (organization, customer, id);

-- How many nouns that hold now name a product.
CREATE TABLE product_uses (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    product      TEXT COLLATE "C" NOT NULL,
    contracts    BIGINT NOT NULL,
    cp_codes     BIGINT NOT NULL,
    PRIMARY KEY (organization, product)
);

INSERT INTO product_uses
SELECT organization, product, sum(contract), sum(code)
FROM (
    SELECT DISTINCT n.organization, p.value AS product, n.customer, n.id, 1 AS contract, 0 AS code
    FROM nouns n, json_array_elements(coalesce(n.body::json->'terms', '[]')) t, json_array_elements_text(coalesce(t->'products', '[]')) p (value)
    WHERE n.kind = 'contract' AND n.to_us IS NULL
    UNION ALL
    SELECT organization, body::json->>'product', customer, id, 0, 1
    FROM nouns
    WHERE kind = 'cp_code' AND to_us IS NULL AND body::json->>'product' <> ''
) AS named
GROUP BY organization, product;
