-- name: OrganizationCount
SELECT count(*)
FROM organizations

-- name: OrganizationCreate
INSERT INTO organizations (id, name, customer_attribute, created_us)
VALUES ($1, $2, $3, $4)

-- name: OrganizationGet
SELECT id, name, customer_attribute, created_us
FROM organizations
WHERE id = $1

-- name: OrganizationList
-- damaged rows are left out: the others are told
SELECT id, name, customer_attribute, created_us
FROM organizations
WHERE id > $1
ORDER BY id
LIMIT $2

-- name: OrganizationUpdate
UPDATE organizations
SET name = $2, customer_attribute = $3
WHERE id = $1
