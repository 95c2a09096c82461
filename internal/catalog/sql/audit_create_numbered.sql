INSERT INTO audit_entries (organization, number, time_us, actor, action, noun, noun_id, before, after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
