INSERT INTO metering_configs (organization, partner, config)
VALUES ($1, $2, $3)
ON CONFLICT (organization, partner) DO UPDATE SET config = excluded.config
