SELECT organization, partner, state, count(*), min(hour_us), max(CASE WHEN state = 'frozen' THEN deadline_us ELSE 0 END)
FROM report_lines
WHERE state IN ('frozen', 'parked', 'refused')
GROUP BY organization, partner, state
