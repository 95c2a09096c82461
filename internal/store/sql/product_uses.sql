-- name: ProductUsesAdd
INSERT INTO product_uses (organization, product, contracts, cp_codes)
VALUES ($1, $2, $3, $4)
ON CONFLICT (organization, product) DO UPDATE
SET contracts = product_uses.contracts + excluded.contracts, cp_codes = product_uses.cp_codes + excluded.cp_codes

-- name: ProductUsesList
SELECT product, contracts, cp_codes
FROM product_uses
WHERE organization = $1 AND (contracts <> 0 OR cp_codes <> 0)
