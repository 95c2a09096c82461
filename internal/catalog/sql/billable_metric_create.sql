INSERT INTO billable_metrics (organization, id, definition, info, created_us, updated_us)
VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (organization, id) DO NOTHING
