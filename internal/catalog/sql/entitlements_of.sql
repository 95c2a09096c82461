SELECT body FROM nouns WHERE organization = $1 AND kind = 'entitlement' AND customer = '' AND to_us IS NULL
