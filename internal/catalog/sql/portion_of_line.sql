SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND account = $2 AND dimension = $3 AND hour_us = $4 AND state = $5
