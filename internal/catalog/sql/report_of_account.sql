SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND account = $2 AND hour_us = $3
ORDER BY serial DESC
