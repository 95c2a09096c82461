SELECT coalesce(max(serial), 0) FROM reports WHERE organization = $1
