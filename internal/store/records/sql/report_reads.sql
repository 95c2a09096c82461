-- name: ReadGet
SELECT through_us, value
FROM report_reads
WHERE organization = $1 AND entitlement = $2 AND dimension = $3 AND period = $4

-- name: ReadList
SELECT entitlement, dimension, period, through_us, value
FROM report_reads
WHERE organization = $1 AND entitlement IN ($2)

-- name: ReadPut
INSERT INTO report_reads (organization, entitlement, dimension, period, through_us, value)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization, entitlement, dimension, period) DO UPDATE SET through_us = excluded.through_us, value = excluded.value
