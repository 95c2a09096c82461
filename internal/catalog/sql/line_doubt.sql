UPDATE report_lines
SET maybe = 1, next_us = $2, lease_us = 0, fence = fence + 1
WHERE organization = $1 AND state = 'frozen'
