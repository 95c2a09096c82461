-- What waits of reports is found by its portions, with a line or without one.
CREATE INDEX report_portions_waiting ON report_portions (organization, hour_us) WHERE state IN ('frozen', 'parked', 'refused');

-- A refused portion whose usage was retried waits in the report that has claimed it, or in none.
UPDATE report_portions
SET state = 'moved'
WHERE state = 'refused' AND json_extract(body, '$.metered') = '0'
  AND NOT EXISTS (SELECT 1 FROM record_groups g WHERE g.organization = report_portions.organization AND g.report = report_portions.report AND g.status = 'REPORT_FAILED');
