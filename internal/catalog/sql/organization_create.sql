INSERT INTO organizations (id, name, customer_attribute, created_us)
VALUES ($1, $2, $3, $4)
