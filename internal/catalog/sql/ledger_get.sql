SELECT coalesce(ledger, '')
FROM installation
