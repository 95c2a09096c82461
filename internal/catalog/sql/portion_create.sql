INSERT INTO report_portions (organization, report, dimension, entitlement, term, account, hour_us, state, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
