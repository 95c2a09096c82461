-- name: LineCreate
INSERT INTO report_lines (organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)

-- name: LineDecide
UPDATE report_lines
SET state = $4, accepted = $5, maybe = $6, grace = $7, next_us = $8, deadline_us = $9, lease = '', lease_us = 0, message = $10, request = $11, response = $12
WHERE organization = $1 AND operation = $2 AND fence = $3 AND state = $13

-- name: LineDoubt
UPDATE report_lines
SET maybe = 1, next_us = $2, lease_us = 0, fence = fence + 1
WHERE organization = $1 AND state = 'frozen'

-- name: LineDue
-- damaged rows are left out: those of others are sent
SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE state = 'frozen' AND next_us <= $1 AND lease_us <= $1
ORDER BY next_us, organization, operation

-- name: LineForeseen
-- damaged rows are left out: the change of one tells of it
SELECT operation
FROM report_lines
WHERE organization = $1 AND operation IN ($2)

-- name: LineFrozen
SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE organization = $1 AND state = 'frozen'
ORDER BY hour_us, operation
LIMIT $2

-- name: LineHasten
UPDATE report_lines
SET next_us = $4
WHERE organization = $1 AND account = $2 AND hour_us = $3 AND state = 'frozen' AND next_us > $4

-- name: LineLease
UPDATE report_lines
SET lease = $3, lease_us = $4, fence = fence + 1, attempts = attempts + 1, maybe = 1
WHERE organization = $1 AND operation = $2 AND state = 'frozen' AND fence = $5

-- name: LineOfAccount
SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE organization = $1 AND account = $2 AND hour_us = $3
ORDER BY dimension

-- name: LineOfKey
SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE organization = $1 AND account = $2 AND dimension = $3 AND hour_us >= $4 AND hour_us < $5

-- name: LineOfReports
SELECT p.report, l.organization, l.operation, l.partner, l.account, l.dimension, l.hour_us, l.quantity, l.target, l.state, l.accepted, l.maybe, l.grace, l.attempts, l.next_us, l.deadline_us, l.lease, l.lease_us, l.fence, l.message, l.request, l.response
FROM report_portions p
JOIN report_lines l ON l.organization = p.organization AND l.account = p.account AND l.dimension = p.dimension AND l.hour_us = p.hour_us
WHERE p.organization = $1 AND p.report IN ($2)
ORDER BY p.report, l.dimension

-- name: LineParked
SELECT organization, operation, partner, account, dimension, hour_us, quantity, target, state, accepted, maybe, grace, attempts, next_us, deadline_us, lease, lease_us, fence, message, request, response
FROM report_lines
WHERE organization = $1 AND account = $2 AND dimension = $3 AND hour_us >= $4 AND hour_us < $5 AND state = 'parked'
