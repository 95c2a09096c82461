-- damaged rows are left out: those of others are sent
SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE state = 'frozen' AND next_us <= $1 AND lease_us <= $1
ORDER BY next_us, organization, operation
