SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND report IN ($2)
ORDER BY report, dimension
