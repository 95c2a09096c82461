package wire

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"odometer/internal/meter"
)

// Limits of what a request may say.
const (
	maxAIDDigits   = 20
	maxCursorBytes = 2048
	maxWindow      = 10 * 366 * 24 * time.Hour // of the window parameter
)

// Expand names one array of Usage.
type Expand string

// The arrays that may be expanded.
const (
	ExpandTest               Expand = "test"
	ExpandEnterpriseAgent    Expand = "enterprise-agent"
	ExpandEnterpriseUnit     Expand = "enterprise-agent-unit"
	ExpandEndpointAgent      Expand = "endpoint-agent"
	ExpandEndpointEssentials Expand = "endpoint-agent-essential"
	ExpandEndpointEmbedded   Expand = "endpoint-agent-embedded"
)

var expands = []Expand{ExpandTest, ExpandEnterpriseAgent, ExpandEnterpriseUnit, ExpandEndpointAgent, ExpandEndpointEssentials, ExpandEndpointEmbedded}

// UsageRequest is GET /v7/usage.
type UsageRequest struct {
	AID    string   // "" = the key's default account group
	Expand []Expand // without repetition, in the contract's order
}

// Has says whether an array was asked for.
func (r UsageRequest) Has(e Expand) bool { return slices.Contains(r.Expand, e) }

func (r UsageRequest) expandTexts() []string {
	texts := make([]string, len(r.Expand))
	for i, e := range r.Expand {
		texts[i] = string(e)
	}
	return texts
}

// Operation is one of the two units operations.
type Operation string

// The units operations.
const (
	TestsOperation  Operation = "tests"
	AgentsOperation Operation = "agents" // takes no aid
)

// UnitsRequest is one of the units operations. Range and Now are what the
// first page was asked with: a cursor carries them from page to page.
type UnitsRequest struct {
	Operation Operation
	Scope     string       // whose cursors are taken: others are unreadable
	AID       string       // "" = the key's default account group
	Range     meter.Period // Cycle is asked for where it is zero
	Now       time.Time    // of the first page
	After     *Position    // rows up to and with this one were on pages before

	given given
}

// given are the parameters as they were sent, or as the cursor says they were.
type given struct {
	start, end *time.Time
	window     string
	cursor     string
}

func (r UnitsRequest) path() string {
	if r.Operation == AgentsOperation {
		return PathAgentUnits
	}
	return PathTestUnits
}

// Position is the last row of a page, in the order of rows: by account group,
// then by test or agent.
type Position struct {
	AID string `json:"a"`
	ID  string `json:"i"`
}

// ComparePositions orders ids that are numbers by value, before all others.
func ComparePositions(a, b Position) int {
	if c := compareIDs(a.AID, b.AID); c != 0 {
		return c
	}
	return compareIDs(a.ID, b.ID)
}

func compareIDs(a, b string) int {
	x, y := isNumber(a), isNumber(b)
	switch {
	case x && !y:
		return -1
	case y && !x:
		return 1
	case x:
		p, q := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(p) != len(q) {
			return len(p) - len(q)
		}
		if c := strings.Compare(p, q); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// ParseUsage reads the query string of GET /v7/usage. Parameters that the
// operation does not know are ignored.
func ParseUsage(raw string) (UsageRequest, error) {
	v, err := parseQuery(raw, "aid", "expand")
	if err != nil {
		return UsageRequest{}, err
	}
	var r UsageRequest
	if r.AID, err = v.aid(); err != nil {
		return r, err
	}
	for _, list := range v["expand"] {
		if list == "" { // an empty list, as Python writes it
			continue
		}
		for name := range strings.SplitSeq(list, ",") {
			if !slices.Contains(expands, Expand(name)) {
				return r, Invalid(codeInvalid, "expand", fmt.Sprintf("%.60q is not a resource that can be expanded", name))
			}
		}
	}
	for _, e := range expands {
		for _, list := range v["expand"] {
			if slices.Contains(strings.Split(list, ","), string(e)) {
				r.Expand = append(r.Expand, e)
				break
			}
		}
	}
	return r, nil
}

// ParseUnits reads the query string of a units operation at the time now.
// Without a cursor, a range that was not given stays zero for the caller to
// fill with the current billing cycle up to now: see DefaultRange.
func ParseUnits(op Operation, scope, raw string, codec *CursorCodec, now time.Time) (UnitsRequest, error) {
	r := UnitsRequest{Operation: op, Scope: scope, Now: now.UTC().Round(0)}
	v, err := parseQuery(raw, "aid", "startDate", "endDate", "window", "cursor")
	if err != nil {
		return r, err
	}
	if op == TestsOperation {
		if r.AID, err = v.aid(); err != nil {
			return r, err
		}
	}
	if err := r.readGiven(v); err != nil {
		return r, err
	}
	if _, ok := v["cursor"]; ok {
		return r.resume(codec)
	}
	return r, r.setRange()
}

// readGiven reads the parameters, each for itself.
func (r *UnitsRequest) readGiven(v values) error {
	var err error
	if r.given.start, err = v.date("startDate"); err != nil {
		return err
	}
	if r.given.end, err = v.date("endDate"); err != nil {
		return err
	}
	if r.given.window, err = v.one("window"); err != nil {
		return err
	}
	if _, ok := v["window"]; ok {
		if r.given.start != nil || r.given.end != nil {
			return Invalid(codeConflict, "window", "cannot be used with startDate or endDate")
		}
		if _, ok := parseWindow(r.given.window); !ok {
			return Invalid(codeInvalid, "window", "want a whole number and s, m, h, d or w, such as 7d")
		}
	}
	if r.given.cursor, err = v.one("cursor"); err != nil {
		return err
	}
	return nil
}

// setRange gives the first page its range.
func (r *UnitsRequest) setRange() error {
	start, end := r.given.start, r.given.end
	if w, ok := parseWindow(r.given.window); ok {
		from := r.Now.Add(-w)
		start = &from
	}
	switch {
	case start == nil && end == nil:
		return nil
	case start == nil:
		return Invalid(CodeMissing, "startDate", "is needed with endDate")
	case start.After(r.Now):
		return Invalid(codeInvalid, "startDate", "lies in the future")
	case end == nil:
		end = &r.Now
	}
	if !start.Before(*end) {
		return Invalid(codeInvalid, "endDate", "is not after startDate")
	}
	r.Range = meter.Period{From: *start, To: *end}
	return nil
}

// DefaultRange makes the range the current billing cycle up to now, if none was given.
func (r *UnitsRequest) DefaultRange(cycle meter.Period) {
	if r.Range.From.IsZero() {
		r.Range = meter.Period{From: cycle.From, To: r.Now}
	}
}

// Data is the part of the range that has been: it ends now at the latest. It
// is empty where From is not before To.
func (r UnitsRequest) Data() meter.Period {
	p := r.Range
	if r.Now.Before(p.To) {
		p.To = r.Now
	}
	return p
}

// values are the parameters of a query string, decoded.
type values map[string][]string

// parseQuery decodes the parameters of a query string that an operation knows;
// what is wrong with others is not looked at. A semicolon is a character like
// any other.
func parseQuery(raw string, known ...string) (values, error) {
	v := values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !slices.Contains(known, name) {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil || !utf8.ValidString(value) {
			return nil, Invalid(codeInvalid, name, "is not well encoded")
		}
		v[name] = append(v[name], value)
	}
	return v, nil
}

// one returns a parameter that may be given once; "" if absent.
func (v values) one(name string) (string, error) {
	switch given := v[name]; {
	case len(given) > 1:
		return "", Invalid(codeInvalid, name, "is given more than once")
	case len(given) == 1:
		return given[0], nil
	}
	return "", nil
}

func (v values) aid() (string, error) {
	aid, err := v.one("aid")
	if err != nil {
		return "", err
	}
	if _, ok := v["aid"]; ok && (!isNumber(aid) || len(aid) > maxAIDDigits) {
		return "", Invalid(codeInvalid, "aid", fmt.Sprintf("want a number of at most %d digits", maxAIDDigits))
	}
	return aid, nil
}

func (v values) date(name string) (*time.Time, error) {
	text, err := v.one(name)
	if err != nil {
		return nil, err
	}
	if _, ok := v[name]; !ok {
		return nil, nil
	}
	t, ok := parseDate(text)
	if !ok {
		return nil, Invalid(codeInvalid, name, "want a date with its complete time, such as 2022-07-17T22:00:54Z")
	}
	return &t, nil
}
