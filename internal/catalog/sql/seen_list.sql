SELECT dimension, metric, split, day, value
FROM report_seen
WHERE organization = $1 AND entitlement = $2 AND day >= $3
