package native

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are the same on every machine

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// query is the checked query string of one request.
type query struct{ values url.Values }

// repeatable parameters may be given several times.
var repeatable = map[string]bool{"group_by": true, "filter[]": true}

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
		if attr, ok := filterAttribute(name); ok {
			if param = "filter[]"; attr == "" {
				return query{}, meter.Errorf(meter.KindInvalid, "query parameter %q names no attribute", name)
			}
		}
		if !slices.Contains(allowed, param) {
			return query{}, meter.Errorf(meter.KindInvalid, "unknown query parameter %.80q", name)
		}
		if len(given) > 1 && !repeatable[param] {
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
func (q query) page() (metering.Page, error) {
	n, err := q.limit()
	return metering.Page{Limit: n, Cursor: q.text("cursor")}, err
}

// The instants that queries may name; nanoseconds since 1970 hold them with room to spare.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// time is the zero time when the parameter is absent.
func (q query) time(name string) (time.Time, error) {
	v := q.optional(name)
	if v == nil {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, *v)
	if err != nil {
		hint := ""
		if strings.Contains(*v, " ") {
			hint = " (a + in a query string is written %2B)"
		}
		return time.Time{}, meter.Errorf(meter.KindInvalid, "%s %.60q: want an RFC 3339 time such as 2026-01-31T00:00:00Z%s", name, *v, hint)
	}
	if t.Before(earliest) || t.After(latest) {
		return time.Time{}, meter.Errorf(meter.KindInvalid, "%s %.60q: want a time from %d to %d", name, *v, earliest.Year(), latest.Year())
	}
	return t.UTC(), nil
}

// span reads from and to, which form a half-open range where both are given.
func (q query) span() (from, to time.Time, err error) {
	if from, err = q.time("from"); err != nil {
		return from, to, err
	}
	if to, err = q.time("to"); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, meter.Errorf(meter.KindInvalid, "from %s is not before to %s", q.text("from"), q.text("to"))
	}
	return from, to, nil
}

// zones keeps loaded zones; only names that exist get in, so it is bounded.
var zones sync.Map // string -> *time.Location

// location is UTC when tz is absent.
func (q query) location() (*time.Location, error) {
	v := q.optional("tz")
	if v == nil {
		return time.UTC, nil
	}
	if loc, ok := zones.Load(*v); ok {
		return loc.(*time.Location), nil
	}
	var loc *time.Location
	err := meter.Errorf(meter.KindInvalid, "tz %.60q: want an IANA time zone such as Europe/Oslo", *v)
	if *v == "" || strings.EqualFold(*v, "local") { // the server's own zone means nothing to a client
		return nil, err
	}
	loc, unknown := time.LoadLocation(*v)
	if unknown != nil {
		return nil, err
	}
	zones.Store(*v, loc)
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

// filters reads filter[attribute]=value; values of one attribute are alternatives.
func (q query) filters() []metering.AttrFilter {
	var out []metering.AttrFilter
	for name, values := range q.values {
		if attr, ok := filterAttribute(name); ok {
			out = append(out, metering.AttrFilter{Attribute: attr, Values: values})
		}
	}
	slices.SortFunc(out, func(a, b metering.AttrFilter) int { return strings.Compare(a.Attribute, b.Attribute) })
	return out
}
