SELECT kind, customer, id, from_us, to_us, body
FROM nouns
WHERE organization = $1
