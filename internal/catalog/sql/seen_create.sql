INSERT INTO report_seen (organization, entitlement, dimension, metric, split, day, value, report)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
