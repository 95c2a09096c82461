DELETE FROM meters
WHERE organization = $1 AND key = $2
