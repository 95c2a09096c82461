INSERT INTO checksum_keys (copy, key, proof)
VALUES ($1, $2, $3)
