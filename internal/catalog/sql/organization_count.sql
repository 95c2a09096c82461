SELECT count(*)
FROM organizations
