INSERT INTO reporter_states (organization, paused, restored_us, reason)
SELECT id, 1, $1, $2 FROM organizations WHERE true
ON CONFLICT (organization) DO UPDATE SET paused = 1, restored_us = excluded.restored_us, reason = excluded.reason
