SELECT organization, listing FROM marketplace_listings
WHERE partner = $1 AND (listing = $2 OR (listing = '*' AND organization = $3))
