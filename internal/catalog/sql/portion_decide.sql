UPDATE report_portions
SET state = $4, body = $5
WHERE organization = $1 AND report = $2 AND dimension = $3
