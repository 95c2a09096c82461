UPDATE keys
SET used_us = $2
WHERE id = $1 AND (used_us IS NULL OR used_us < $2)
