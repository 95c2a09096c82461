SELECT CASE
  WHEN EXISTS (SELECT 1 FROM record_groups WHERE organization = $1 AND entitlement = $2 AND status NOT IN ('DELETED', 'INVALID')) THEN 'usage record groups'
  WHEN EXISTS (SELECT 1 FROM reports WHERE organization = $1 AND entitlement = $2) THEN 'reports'
  WHEN EXISTS (SELECT 1 FROM entitlement_credits WHERE organization = $1 AND entitlement = $2) THEN 'credit'
  ELSE ''
END
