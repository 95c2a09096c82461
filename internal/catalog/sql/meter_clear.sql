DELETE FROM meters
WHERE organization = $1
