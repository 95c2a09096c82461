-- damaged rows are left out: the others are told
SELECT id, name, customer_attribute, created_us
FROM organizations
WHERE id > $1
ORDER BY id
LIMIT $2
