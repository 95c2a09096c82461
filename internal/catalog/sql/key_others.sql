SELECT count(*), coalesce(sum(operator), 0)
FROM keys
WHERE organization = $1 AND id <> $2 AND role = 'admin' AND kind = 'token' AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $3)
