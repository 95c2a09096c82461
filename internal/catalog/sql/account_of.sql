SELECT account FROM marketplace_accounts WHERE organization = $1
