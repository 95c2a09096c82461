# Hits and bytes per status and path of an access log in the combined format.
# Output: status, tab, path, tab, hits, tab, bytes.
BEGIN { FS = "\"" }
{
    split($3, numbers, " ")
    path = $2
    if (path !~ /^[A-Z]+ +[^ ].* HTTP\/[0-9.]+$/ && path !~ /^[A-Z]+ [^ ]+$/) path = ""
    if (path ~ /^CONNECT /) path = ""
    sub(/^[A-Z]+ +/, "", path)
    sub(/ +HTTP\/[0-9.]+$/, "", path)
    sub(/^[a-z]+:\/\/[^\/?]*/, "", path)
    sub(/\?.*/, "", path)
    key = numbers[1] + 0 "\t" path
    hits[key]++
    bytes[key] += numbers[2]
}
END {
    for (key in hits) printf "%s\t%d\t%.0f\n", key, hits[key], bytes[key]
}
