UPDATE keys
SET revoked_us = $3
WHERE organization = $1 AND id = $2 AND revoked_us IS NULL
