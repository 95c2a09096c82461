UPDATE organizations
SET name = $2, customer_attribute = $3
WHERE id = $1
