package wire

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/internal/meter"
)

// Paging of the lists.
const (
	maxLimit   = 1000 // rows of a page; more is taken as this, and so is none
	windowDays = 30   // before the end date, where no start date is given
)

// The values that queries choose by.
var (
	groupPartners = []string{"AWS", "AZURE", "GCP"}
	groupStatuses = []string{"CREATED", "DELETED", "INVALID", "REPORTED", "REPORT_PENDING", "REPORT_FAILED"}
	groupSources  = []string{"API", "INTERNAL", "LAGO", "METRONOME", "ORB", "STRIPE"}
	metricStates  = []string{StatusActive, StatusDeleted}
)

// ListQuery is what both lists are asked. Texts that are "" choose everything.
type ListQuery struct {
	Partner     string
	Buyer       string
	Entitlement string
	From, To    time.Time // of creation, half-open; whole days in UTC
	Limit       int       // 1 to MaxLimit
	Offset      int32
}

// GroupQuery is the query of listUsageRecordGroups.
type GroupQuery struct {
	ListQuery
	Product  string
	Status   string
	Source   string
	MetaInfo string
}

// ParseGroupQuery reads the query of listUsageRecordGroups. today is the
// clock's instant.
func ParseGroupQuery(q url.Values, now time.Time) (GroupQuery, error) {
	list, err := ParseListQuery(q, now)
	if err != nil {
		return GroupQuery{}, err
	}
	out := GroupQuery{ListQuery: list, Product: q.Get("productId"), MetaInfo: q.Get("metaInfo")}
	var chosen []string
	for _, name := range []string{"partner", "productId", "entitlementId", "buyerId"} {
		if q.Get(name) != "" {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) > 1 {
		return GroupQuery{}, meter.Errorf(meter.KindInvalid, "%s are given: want at most one of partner, productId, entitlementId and buyerId", strings.Join(chosen, ", "))
	}
	if out.Status, err = oneOf(q, "status", groupStatuses); err != nil {
		return GroupQuery{}, err
	}
	out.Source, err = oneOf(q, "source", groupSources)
	return out, err
}

// ParseListQuery reads the query of listUsageRecordReports, and what
// listUsageRecordGroups shares with it.
func ParseListQuery(q url.Values, now time.Time) (ListQuery, error) {
	out := ListQuery{Buyer: q.Get("buyerId"), Entitlement: q.Get("entitlementId"), Limit: maxLimit}
	var err error
	if out.Partner, err = oneOf(q, "partner", groupPartners); err != nil {
		return ListQuery{}, err
	}
	end, given, err := parseDay(q, "endDate")
	if err != nil {
		return ListQuery{}, err
	}
	if !given {
		end = now.UTC().Truncate(24 * time.Hour)
	}
	if out.From, given, err = parseDay(q, "startDate"); err != nil {
		return ListQuery{}, err
	}
	if !given {
		out.From = end.AddDate(0, 0, -windowDays)
	}
	if out.From.After(end) {
		return ListQuery{}, meter.Errorf(meter.KindInvalid, "startDate %s is after endDate %s", out.From.Format(time.DateOnly), end.Format(time.DateOnly))
	}
	out.To = end.AddDate(0, 0, 1)
	limit, err := parseCount(q, "limit")
	if err != nil {
		return ListQuery{}, err
	}
	if limit > 0 {
		out.Limit = int(min(limit, maxLimit))
	}
	out.Offset, err = parseCount(q, "offset")
	return out, err
}

// ParseMetricStatus reads the query of listBillableMetrics; "" is every status.
func ParseMetricStatus(q url.Values) (string, error) { return oneOf(q, "status", metricStates) }

// ParseCreationDate reads the hint of the operations on one group; zero is none.
func ParseCreationDate(q url.Values) (time.Time, error) {
	day, _, err := parseDay(q, "creationDate")
	return day, err
}

// oneOf reads a parameter that has fixed values; "" is none given.
func oneOf(q url.Values, name string, values []string) (string, error) {
	v := q.Get(name)
	if v != "" && !slices.Contains(values, v) {
		return "", meter.Errorf(meter.KindInvalid, "%s %q: want one of %s", name, clip(v), strings.Join(values, ", "))
	}
	return v, nil
}

// parseDay reads a day as its start in UTC.
func parseDay(q url.Values, name string) (day time.Time, given bool, err error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, false, nil
	}
	day, err = time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1 {
		return time.Time{}, false, meter.Errorf(meter.KindInvalid, "%s %q is not a day such as 2026-01-31", name, clip(text))
	}
	return day, true, nil
}

func parseCount(q url.Values, name string) (int32, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, meter.Errorf(meter.KindInvalid, "%s %q: want a number from 0 to %d", name, clip(text), math.MaxInt32)
	}
	return int32(n), nil
}

// MetaInfoMatcher says which meta info a list's metaInfo chooses: if it is a
// JSON object, what contains it; otherwise what has it as a part of its text.
func MetaInfoMatcher(text string) func(meta []byte) bool {
	if want, err := generic([]byte(text)); err == nil {
		if object, ok := want.(map[string]any); ok {
			return func(meta []byte) bool {
				have, err := generic(meta)
				return err == nil && contains(have, object)
			}
		}
	}
	return func(meta []byte) bool { return strings.Contains(string(meta), text) }
}

// generic reads JSON with numbers as they are written.
func generic(text []byte) (any, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	err := d.Decode(&v)
	if err == nil && d.More() {
		err = meter.Errorf(meter.KindInvalid, "more text after the value")
	}
	return v, err
}

// contains says whether have has all of want: each member of an object, each
// element of an array somewhere, and equal values; numbers are compared as such.
func contains(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := have.(map[string]any)
		if !ok {
			return false
		}
		for key, v := range want {
			if member, ok := object[key]; !ok || !contains(member, v) {
				return false
			}
		}
		return true
	case []any:
		list, ok := have.([]any)
		if !ok {
			return false
		}
		for _, v := range want {
			if !slices.ContainsFunc(list, func(element any) bool { return contains(element, v) }) {
				return false
			}
		}
		return true
	case json.Number:
		number, ok := have.(json.Number)
		if !ok {
			return false
		}
		a, failed := meter.ParseDecimal(string(want))
		b, failedToo := meter.ParseDecimal(string(number))
		return failed == nil && failedToo == nil && a.Cmp(b) == 0
	}
	return have == want
}
