SELECT through_us, value
FROM report_reads
WHERE organization = $1 AND entitlement = $2 AND dimension = $3 AND period = $4
