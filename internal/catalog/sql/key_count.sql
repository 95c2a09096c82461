SELECT count(*)
FROM keys
WHERE organization = $1 AND revoked_us IS NULL
