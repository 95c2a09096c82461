SELECT id, name, customer_attribute, created_us
FROM organizations
WHERE id = $1
