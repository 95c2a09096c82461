-- name: ChecksumKeyCreate
INSERT INTO checksum_keys (copy, key, proof)
VALUES ($1, $2, $3)

-- name: ChecksumKeyList
SELECT key, proof
FROM checksum_keys
ORDER BY copy
