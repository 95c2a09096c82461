-- name: MeteringConfigList
SELECT config
FROM metering_configs
WHERE organization = $1
ORDER BY partner

-- name: MeteringConfigPut
INSERT INTO metering_configs (organization, partner, config)
VALUES ($1, $2, $3)
ON CONFLICT (organization, partner) DO UPDATE SET config = excluded.config
