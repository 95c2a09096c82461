UPDATE report_lines
SET next_us = $4
WHERE organization = $1 AND account = $2 AND hour_us = $3 AND state = 'frozen' AND next_us > $4
