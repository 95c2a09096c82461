SELECT customer, sources
FROM keys
WHERE organization = $1 AND revoked_us IS NULL AND sources <> '' AND customer <> $2
