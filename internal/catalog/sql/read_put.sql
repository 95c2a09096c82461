INSERT INTO report_reads (organization, entitlement, dimension, period, through_us, value)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization, entitlement, dimension, period) DO UPDATE SET through_us = excluded.through_us, value = excluded.value
