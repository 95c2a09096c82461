INSERT INTO nouns (organization, kind, customer, id, from_us, body)
VALUES ($1, $2, $3, $4, $5, $6)
