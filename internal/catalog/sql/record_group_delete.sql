UPDATE record_groups
SET status = 'DELETED', updated_us = $3, posted = CASE posted WHEN 3 THEN 3 ELSE 2 END
WHERE organization = $1 AND id = $2 AND status IN ('CREATED', 'INVALID') AND report IS NULL AND settled = '[]'
