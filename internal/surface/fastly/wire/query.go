package wire

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"odometer/internal/meter"
)

// parameters are the known query parameters of a request, decoded.
type parameters map[string]string

// parseQuery decodes the parameters that known names; others are ignored,
// whatever they hold. A known one that is given twice, cannot be decoded or is
// not UTF-8 is an error.
func parseQuery(raw string, known ...string) (parameters, error) {
	found := parameters{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !slices.Contains(known, name) {
			continue
		}
		if _, twice := found[name]; twice {
			return nil, meter.Errorf(meter.KindInvalid, "%s is given more than once", name)
		}
		text, err := url.QueryUnescape(value)
		if err != nil || !utf8.ValidString(text) {
			return nil, meter.Errorf(meter.KindInvalid, "%s is not percent-encoded UTF-8", name)
		}
		found[name] = text
	}
	return found, nil
}

// limit reads the page size, in records.
func (p parameters) limit(absent, most int) (int, error) {
	text, given := p["limit"]
	if !given {
		return absent, nil
	}
	digits := text != "" && strings.Trim(text, "0123456789") == ""
	n, err := strconv.Atoi(text)
	if !digits || err != nil || n < 1 || n > most {
		return 0, meter.Errorf(meter.KindInvalid, "limit must be a whole number from 1 to %d", most)
	}
	return n, nil
}
