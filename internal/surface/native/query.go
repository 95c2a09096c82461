package native

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
)

// query is the checked query string of one request.
type query struct{ values url.Values }

// repeatable parameters may be given several times.
var repeatable = map[string]bool{"group_by": true, "filter[]": true}

// several marks a parameter in an operation's list that it, and not each, takes several times.
const several = "*"

// parseQuery refuses parameters that are not in allowed, and most that are given twice.
func parseQuery(raw string, allowed []string) (query, error) {
	if raw == "" {
		return query{}, nil
	}
	values, err := httpserver.ParseQuery(raw)
	if err != nil {
		return query{}, err
	}
	for name, given := range values {
		param := name
		if attr, ok := filterAttribute(name); ok || name == "filter" {
			if param = "filter[]"; ok && attr == "" {
				return query{}, meter.Errorf(meter.KindInvalid, "query parameter %q names no attribute", name)
			}
		}
		for _, v := range given {
			if attr, _, ok := strings.Cut(v, "="); name == "filter" && (!ok || attr == "") {
				return query{}, meter.Errorf(meter.KindInvalid, "filter %.80q: want attribute=value", v)
			}
		}
		many := slices.Contains(allowed, param+several)
		if !many && !slices.Contains(allowed, param) {
			return query{}, meter.Errorf(meter.KindInvalid, "unknown query parameter %.80q", name)
		}
		if len(given) > 1 && !many && !repeatable[param] {
			return query{}, meter.Errorf(meter.KindInvalid, "query parameter %q is given %d times", name, len(given))
		}
	}
	return query{values}, nil
}

// filterAttribute takes the attribute's name out of filter[NAME].
func filterAttribute(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "filter[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return "", false
	}
	return rest[:len(rest)-1], true
}

// given refuses a parameter that restricts the answer and is empty: that would
// be no restriction.
func (q query) given(names ...string) error {
	for _, name := range names {
		for _, v := range q.values[name] {
			if v == "" {
				return meter.Errorf(meter.KindInvalid, "query parameter %q is empty: leave it out, or name what is meant", name)
			}
		}
	}
	return nil
}

// require names the first of the parameters that is absent or empty.
func (q query) require(names ...string) error {
	for _, name := range names {
		if q.text(name) == "" {
			return meter.Errorf(meter.KindInvalid, "query parameter %q is missing", name)
		}
	}
	return nil
}

func (q query) text(name string) string { return q.values.Get(name) }

// optional is nil when the parameter is absent; given empty it is the empty text.
func (q query) optional(name string) *string {
	if v, ok := q.values[name]; ok {
		return &v[0]
	}
	return nil
}

func (q query) flag(name string) (bool, error) {
	switch v, ok := q.values[name]; {
	case !ok || v[0] == "false":
		return false, nil
	case v[0] == "true":
		return true, nil
	default:
		return false, meter.Errorf(meter.KindInvalid, "%s %.40q: want true or false", name, v[0])
	}
}

// limit is 0 when absent, which means the default.
func (q query) limit() (int, error) {
	v := q.optional("limit")
	if v == nil {
		return 0, nil
	}
	n, err := strconv.ParseUint(*v, 10, 31)
	if err != nil || n == 0 {
		return 0, meter.Errorf(meter.KindInvalid, "limit %.40q: want a whole number from 1", *v)
	}
	return int(n), nil
}

// page reads limit and cursor.
func (q query) page() (catalog.Page, error) {
	n, err := q.limit()
	return catalog.Page{Limit: n, Cursor: q.text("cursor")}, err
}

// The instants that queries may name; nanoseconds since 1970 hold them with room to spare.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// time is the zero time when the parameter is absent.
func (q query) time(name string) (time.Time, error) { return q.timeIn(name, time.UTC) }

// timeIn reads an RFC 3339 time, or a date or local time in a zone.
func (q query) timeIn(name string, loc *time.Location) (time.Time, error) {
	v := q.optional(name)
	if v == nil {
		return time.Time{}, nil
	}
	t, ok := meter.ParseTime(*v, loc)
	if !ok {
		hint := ""
		if strings.Contains(*v, " ") {
			hint = " (a + in a query string is written %2B)"
		}
		return time.Time{}, meter.Errorf(meter.KindInvalid, "%s %.60q: want an RFC 3339 time such as 2026-01-31T00:00:00Z%s, or a date such as 2026-01-31", name, *v, hint)
	}
	if t.Before(earliest) || t.After(latest) {
		return time.Time{}, meter.Errorf(meter.KindInvalid, "%s %.60q: want a time from %d to %d", name, *v, earliest.Year(), latest.Year())
	}
	return t.UTC(), nil
}

// span reads from and to, which form a half-open range where both are given.
func (q query) span() (from, to time.Time, err error) { return q.spanIn(time.UTC) }

// spanIn reads dates and local times in a zone.
func (q query) spanIn(loc *time.Location) (from, to time.Time, err error) {
	if from, err = q.timeIn("from", loc); err != nil {
		return from, to, err
	}
	if to, err = q.timeIn("to", loc); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, meter.Errorf(meter.KindInvalid, "from %s is not before to %s", q.text("from"), q.text("to"))
	}
	return from, to, nil
}

// location is UTC when tz is absent.
func (q query) location() (*time.Location, error) {
	v := q.optional("tz")
	if v == nil {
		return time.UTC, nil
	}
	loc, err := meter.LoadZone(*v)
	if err != nil {
		return nil, meter.Errorf(meter.KindInvalid, "tz %.60q: want an IANA time zone such as Europe/Oslo", *v)
	}
	return loc, nil
}

// groupBy reads comma-separated attribute names.
func (q query) groupBy() ([]string, error) {
	var out []string
	for _, v := range q.values["group_by"] {
		for name := range strings.SplitSeq(v, ",") {
			if name == "" {
				return nil, meter.Errorf(meter.KindInvalid, "group_by %.80q: an attribute's name is empty", v)
			}
			if slices.Contains(out, name) {
				return nil, meter.Errorf(meter.KindInvalid, "group_by names %.80q twice", name)
			}
			out = append(out, name)
		}
	}
	return out, nil
}

// filters reads filter[attribute]=value and filter=attribute=value; values of
// one attribute are alternatives.
func (q query) filters() []meter.AttrFilter {
	by := map[string][]string{}
	for name, values := range q.values {
		if attr, ok := filterAttribute(name); ok {
			by[attr] = append(by[attr], values...)
		}
	}
	for _, v := range q.values["filter"] {
		attr, value, _ := strings.Cut(v, "=")
		by[attr] = append(by[attr], value)
	}
	var out []meter.AttrFilter
	for _, attr := range slices.Sorted(maps.Keys(by)) {
		out = append(out, meter.AttrFilter{Attribute: attr, Values: by[attr]})
	}
	return out
}
