SELECT nouns_version
FROM organizations
WHERE id = $1
