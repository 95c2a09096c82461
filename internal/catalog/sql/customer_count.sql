SELECT count(*)
FROM nouns
WHERE organization = $1 AND kind = 'customer' AND customer = '' AND id = $2
