SELECT config
FROM metering_configs
WHERE organization = $1
ORDER BY partner
