DELETE FROM report_seen
WHERE organization = $1 AND entitlement = $2 AND dimension = $3 AND report = $4
