SELECT p.report, l.organization, l.operation, l.partner, l.account, l.dimension, l.hour_us, l.quantity, l.target, l.state, l.accepted, l.maybe, l.grace, l.attempts, l.next_us, l.deadline_us, l.lease, l.lease_us, l.fence, l.message, l.request, l.response
FROM report_portions p
JOIN report_lines l ON l.organization = p.organization AND l.account = p.account AND l.dimension = p.dimension AND l.hour_us = p.hour_us
WHERE p.organization = $1 AND p.report IN ($2)
ORDER BY p.report, l.dimension
