UPDATE installation
SET ledger = $1
