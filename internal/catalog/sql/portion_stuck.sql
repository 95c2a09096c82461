-- unchecked: it is shown as it is stored; what is damaged of it is parked when it is due
SELECT p.report, p.dimension, p.entitlement, p.term, p.account, p.hour_us, p.state, p.body, r.partner, r.message,
       coalesce(l.operation, ''), coalesce(l.attempts, 0), coalesce(l.next_us, 0), coalesce(l.deadline_us, 0), coalesce(l.message, ''), coalesce(l.maybe, 0), coalesce(l.state, '')
FROM report_portions p
JOIN reports r ON r.organization = p.organization AND r.id = p.report
LEFT JOIN report_lines l ON l.organization = p.organization AND l.account = p.account AND l.dimension = p.dimension AND l.hour_us = p.hour_us
WHERE p.organization = $1 AND p.state IN ('frozen', 'parked', 'refused')
ORDER BY p.hour_us, p.report, p.dimension
LIMIT $2
