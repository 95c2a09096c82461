SELECT key, proof
FROM checksum_keys
ORDER BY copy
