-- name: PortionAll
SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND ($2 = '' OR entitlement = $2)
ORDER BY report, dimension

-- name: PortionCounts
SELECT p.organization, r.partner, p.state, count(*), min(p.hour_us)
FROM report_portions p
JOIN reports r ON r.organization = p.organization AND r.id = p.report
WHERE p.state IN ('frozen', 'parked', 'refused')
GROUP BY p.organization, r.partner, p.state
ORDER BY p.organization, r.partner, p.state

-- name: PortionCreate
INSERT INTO report_portions (organization, report, dimension, entitlement, term, account, hour_us, state, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: PortionDecide
UPDATE report_portions
SET state = $4, body = $5
WHERE organization = $1 AND report = $2 AND dimension = $3

-- name: PortionOfLines
SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND hour_us = $2 AND state = $3 AND (account, dimension) IN (VALUES ($4, $5))

-- name: PortionOfReport
SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND report = $2
ORDER BY dimension

-- name: PortionOfReports
SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND report IN ($2)
ORDER BY report, dimension

-- name: PortionOpen
SELECT report, dimension, entitlement, term, account, hour_us, state, body
FROM report_portions
WHERE organization = $1 AND state IN ('frozen', 'parked') AND entitlement IN ($2)

-- name: PortionStuck
-- unchecked: it is shown as it is stored; what is damaged of it is parked when it is due
SELECT p.report, p.dimension, p.entitlement, p.term, p.account, p.hour_us, p.state, p.body, r.partner, r.message,
       coalesce(l.operation, ''), coalesce(l.attempts, 0), coalesce(l.next_us, 0), coalesce(l.deadline_us, 0), coalesce(l.message, ''), coalesce(l.maybe, 0), coalesce(l.state, '')
FROM report_portions p
JOIN reports r ON r.organization = p.organization AND r.id = p.report
LEFT JOIN report_lines l ON l.organization = p.organization AND l.account = p.account AND l.dimension = p.dimension AND l.hour_us = p.hour_us
WHERE p.organization = $1 AND p.state IN ('frozen', 'parked', 'refused')
ORDER BY p.hour_us, p.report, p.dimension
LIMIT $2
