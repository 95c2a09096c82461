UPDATE record_groups
SET posted = CASE status WHEN 'DELETED' THEN 2 ELSE 0 END
WHERE posted IN (1, 3) AND status <> 'INVALID' AND updated_us >= $1
