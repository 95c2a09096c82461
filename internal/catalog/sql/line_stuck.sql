SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE organization = $1 AND state IN ('frozen', 'parked', 'refused')
ORDER BY hour_us, operation
LIMIT $2
