// Package wire is the text of Akamai's Billing API v1: what its requests say
// and how its answers are written. It knows no catalog and no usage.
//
//	path, query ─► Range ─► ... ─► Summary, Daily, Products, Problem ─► JSON
package wire

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"odometer/internal/meter"
)

// The paths of the operations; names in braces are segments. The numbers are
// those of docs/surfaces/akamai.md.
const (
	PathContractMonthly = "/billing/v1/contracts/{contract}/products/{product}/usage/monthly-summary"            // 1
	PathGroupMonthly    = "/billing/v1/reporting-groups/{group}/products/{product}/usage/monthly-summary"        // 2
	PathCPCodeMonthly   = "/billing/v1/contracts/{contract}/products/{product}/usage/by-cp-code/monthly-summary" // 3
	PathContractDaily   = "/billing/v1/contracts/{contract}/products/{product}/usage/daily"                      // 4
	PathGroupDaily      = "/billing/v1/reporting-groups/{group}/products/{product}/usage/daily"                  // 5
	PathProducts        = "/billing/v1/contracts/{contract}/products"                                            // 6
)

// historyMonths is how many months before the current one may be asked for.
const historyMonths = 18

// Month is a calendar month, counted from January of year 0.
type Month int

// MonthOf returns the UTC month that holds t.
func MonthOf(t time.Time) Month {
	t = t.UTC()
	return Month(t.Year()*12 + int(t.Month()) - 1)
}

// parseMonth reads YYYY-MM.
func parseMonth(s string) (Month, bool) {
	if len(s) != len("2006-01") || s[4] != '-' {
		return 0, false
	}
	year, ok := digits(s[:4])
	month, ok2 := digits(s[5:])
	if !ok || !ok2 || month < 1 || month > 12 {
		return 0, false
	}
	return Month(year*12 + month - 1), true
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// String returns YYYY-MM.
func (m Month) String() string { return fmt.Sprintf("%04d-%02d", int(m)/12, int(m)%12+1) }

// start returns the month's first instant.
func (m Month) start() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// Period returns the month's range of time.
func (m Month) Period() meter.Period { return meter.Period{From: m.start(), To: (m + 1).start()} }

// MarshalText renders what String returns.
func (m Month) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Range is what a query asks for: months from Start until before End.
type Range struct {
	Start, End Month
	SwitchKey  string // accountSwitchKey; "" if absent or empty
}

// Account returns the id of the account to switch to: the switch key up to its first colon.
func (r Range) Account() string {
	account, _, _ := strings.Cut(r.SwitchKey, ":")
	return account
}

// ParseMonths reads the query of operations with start and end. Parameters
// that are not known are ignored. Errors are of KindInvalid.
func ParseMonths(rawQuery string, now time.Time) (Range, error) {
	q, err := parseQuery(rawQuery)
	if err != nil {
		return Range{}, err
	}
	r := Range{SwitchKey: q.values["accountSwitchKey"]}
	if r.Start, err = q.month("start"); err != nil {
		return Range{}, err
	}
	if r.End, err = q.month("end"); err != nil {
		return Range{}, err
	}
	if r.Start >= r.End {
		return Range{}, meter.Errorf(meter.KindInvalid, "start %s is not before end %s, which is exclusive", r.Start, r.End)
	}
	return r, checkAge("start", r.Start, now)
}

// ParseDaily reads the query of operations with one month. Parameters that
// are not known are ignored. Errors are of KindInvalid.
func ParseDaily(rawQuery string, now time.Time) (Range, error) {
	q, err := parseQuery(rawQuery)
	if err != nil {
		return Range{}, err
	}
	r := Range{SwitchKey: q.values["accountSwitchKey"]}
	if r.Start, err = q.month("month"); err != nil {
		return Range{}, err
	}
	r.End = r.Start + 1
	return r, checkAge("month", r.Start, now)
}

func checkAge(name string, m Month, now time.Time) error {
	if oldest := MonthOf(now) - historyMonths; m < oldest {
		return meter.Errorf(meter.KindInvalid, "%s %s is more than %d months ago: the oldest month is %s", name, m, historyMonths, oldest)
	}
	return nil
}

// query holds the parameters that are known.
type query struct{ values map[string]string }

// parameters are the known ones of all operations.
var parameters = map[string]bool{"start": true, "end": true, "month": true, "accountSwitchKey": true}

// parseQuery reads the known parameters; what is wrong with others is not looked at.
func parseQuery(raw string) (query, error) {
	q := query{map[string]string{}}
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !parameters[name] {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil || !utf8.ValidString(value) {
			return query{}, meter.Errorf(meter.KindInvalid, "%s is not encoded as a URL's query is", name)
		}
		if old, twice := q.values[name]; twice && old != value {
			return query{}, meter.Errorf(meter.KindInvalid, "%s is given twice", name)
		}
		q.values[name] = value
	}
	return q, nil
}

func (q query) month(name string) (Month, error) {
	text, given := q.values[name]
	if !given || text == "" {
		return 0, meter.Errorf(meter.KindInvalid, "%s is missing: want a month as YYYY-MM", name)
	}
	m, ok := parseMonth(text)
	if !ok {
		return 0, meter.Errorf(meter.KindInvalid, "%s %.20q is not a month: want YYYY-MM", name, text)
	}
	return m, nil
}

// ParseGroup reads a reporting group's id, a decimal integer in its shortest form.
func ParseGroup(s string) (int64, bool) {
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil && id >= 0 && strconv.FormatInt(id, 10) == s
}
