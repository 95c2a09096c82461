-- The groups of a list, whatever their status, from one of them to another: by creation and serial, newest first.
SELECT count(*)
FROM record_groups
WHERE organization = $1
  AND ($2 = '' OR partner = $2) AND ($3 = '' OR buyer = $3) AND ($4 = '' OR entitlement = $4)
  AND ($5 = '' OR source = $5) AND ($6 = '' OR customer = $6) AND ($7 = '' OR product = $7)
  AND (created_us < $8 OR (created_us = $8 AND serial <= $9))
  AND (created_us > $10 OR (created_us = $10 AND serial >= $11))
