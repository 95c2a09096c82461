SELECT dimension, period, through_us, value
FROM report_reads
WHERE organization = $1 AND entitlement = $2
