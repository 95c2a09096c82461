SELECT p.organization, r.partner, p.state, count(*), min(p.hour_us)
FROM report_portions p
JOIN reports r ON r.organization = p.organization AND r.id = p.report
WHERE p.state IN ('frozen', 'parked', 'refused')
GROUP BY p.organization, r.partner, p.state
ORDER BY p.organization, r.partner, p.state
