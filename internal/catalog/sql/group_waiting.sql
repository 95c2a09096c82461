SELECT entitlement, count(*), min(usage_us)
FROM record_groups
WHERE organization = $1 AND status IN ('CREATED', 'REPORT_PENDING') AND report IS NULL AND usage_us < $2
GROUP BY entitlement
ORDER BY entitlement
