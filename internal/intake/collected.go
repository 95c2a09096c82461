package intake

import (
	"regexp"
)

// prefixes are what collectors of logs put before a line. What stands in them
// - the collector's time, its host - is not the access log's.
var prefixes = []*regexp.Regexp{
	// <190>1 2026-11-20T10:00:01Z web1 nginx 12 - - (syslog, RFC 5424)
	regexp.MustCompile(`^(?:<\d{1,3}>)1 \d{4}-\d\d-\d\dT\S+ \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]]*\])+) `),
	// <190>Nov 20 10:00:01 web1 nginx[12]: (syslog, RFC 3164), and with an RFC 3339 time
	regexp.MustCompile(`^(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:?\d\d)) [\w.:-]+ [\w./-]+(?:\[\d+\])?: `),
	// 2026-11-20T10:00:01.123456789Z stdout F (containers, CRI)
	regexp.MustCompile(`^\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) std(?:out|err) F `),
	// 2026-11-20T10:00:01.123456789Z (docker logs --timestamps)
	regexp.MustCompile(`^\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) `),
	// web-1  | (docker compose)
	regexp.MustCompile(`^[\w.-]+ +\| `),
	// [pod/web-1/nginx] (kubectl logs --prefix)
	regexp.MustCompile(`^\[pod/[^\]\s]+\] `),
}

// cutPrefixes takes off what collectors put before a line, each after another.
func cutPrefixes(line []byte) []byte {
	line = skipBlanks(line)
	for range prefixes {
		before := len(line)
		if mayBePrefix(line) {
			for _, p := range prefixes {
				if at := p.FindIndex(line); at != nil {
					line = skipBlanks(line[at[1]:])
					break
				}
			}
		}
		if len(line) == before {
			break
		}
	}
	return line
}

// mayBePrefix is quick where there is none: practically all lines begin with
// an address, which has a dot or a colon within its first five bytes and no "T"
// of a time, or with a name.
func mayBePrefix(line []byte) bool {
	if len(line) < 6 {
		return false
	}
	switch c := line[0]; {
	case c == '<' || c == '[':
		return true
	case c >= '0' && c <= '9':
		if line[4] == '-' {
			return true
		}
	case c >= 'A' && c <= 'Z' && line[3] == ' ':
		return true
	}
	for i, c := range line {
		if isBlank(c) {
			rest := skipBlanks(line[i:])
			return len(rest) > 1 && rest[0] == '|'
		}
	}
	return false
}
