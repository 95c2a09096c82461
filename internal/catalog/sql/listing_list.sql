SELECT partner, listing, created_us FROM marketplace_listings WHERE organization = $1 ORDER BY partner, listing
