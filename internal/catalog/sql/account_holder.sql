SELECT organization FROM marketplace_accounts WHERE account = $1
