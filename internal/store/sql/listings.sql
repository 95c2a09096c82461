-- name: ListingClear
DELETE FROM marketplace_listings WHERE organization = $1

-- name: ListingCreate
INSERT INTO marketplace_listings (organization, partner, listing, created_us) VALUES ($1, $2, $3, $4)

-- name: ListingHolders
SELECT organization, listing FROM marketplace_listings
WHERE partner = $1 AND (listing = $2 OR (listing = '*' AND organization = $3))

-- name: ListingList
SELECT partner, listing, created_us FROM marketplace_listings WHERE organization = $1 ORDER BY partner, listing
