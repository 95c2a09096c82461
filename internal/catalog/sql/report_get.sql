SELECT id, serial, entitlement, term, buyer, product, partner, account, hour_us, created_us, updated_us, status, message, info
FROM reports
WHERE organization = $1 AND id = $2
