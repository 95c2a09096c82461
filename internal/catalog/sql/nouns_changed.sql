UPDATE organizations
SET nouns_version = nouns_version + 1
WHERE id = $1
