INSERT INTO marketplace_listings (organization, partner, listing, created_us) VALUES ($1, $2, $3, $4)
