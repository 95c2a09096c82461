DELETE FROM marketplace_listings WHERE organization = $1
