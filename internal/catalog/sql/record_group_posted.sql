UPDATE record_groups
SET posted = $4
WHERE organization = $1 AND serial BETWEEN $2 AND $3 AND posted = $5
