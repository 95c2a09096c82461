SELECT count(*)
FROM nouns
WHERE organization = $1 AND kind = $2 AND customer = $3 AND id = $4 AND to_us IS NULL
