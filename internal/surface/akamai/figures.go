package akamai

import (
	"context"
	"maps"
	"slices"
	"time"

	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// entry is the figures of a sub-period in one region, exact. The same entries
// are read from usage while a month is open, and kept in its book when it is
// closed.
type entry struct {
	meter.Period
	Region string      `json:"region"`
	Late   string      `json:"late,omitempty"`  // the closed month of which this came late; "" = the month's own
	Stats  []stat      `json:"stats,omitempty"` // by day: at the end of the last
	Codes  []codeStats `json:"codes,omitempty"`
	Days   []dayValues `json:"days,omitempty"`
}

// stat is a figure of a usage type.
type stat struct {
	Name     string        `json:"name"`
	Unit     string        `json:"unit,omitempty"`
	Billable bool          `json:"billable,omitempty"`
	Value    meter.Decimal `json:"value"`
}

type codeStats struct {
	Code  int64  `json:"code"`
	Stats []stat `json:"stats"`
}

// dayValues are the figures at the end of a day, in the order of entry.Stats.
type dayValues struct {
	Date   time.Time       `json:"date"`
	Values []meter.Decimal `json:"values"`
}

// kind is how a month's figures are laid out.
type kind struct {
	read  func(r *reader, ctx context.Context, t *target, lines []line, p part) ([]entry, error)
	of    func(s *section) *[]entry
	codes bool // by CP code
	daily bool
}

var (
	bySummary = kind{read: (*reader).summaries, of: func(s *section) *[]entry { return &s.Summary }}
	ofCodes   = kind{read: (*reader).byCode, of: func(s *section) *[]entry { return &s.ByCode }, codes: true}
	ofDays    = kind{read: (*reader).byDay, of: func(s *section) *[]entry { return &s.ByDay }, daily: true}
)

// book is what is kept of a customer's closed month.
type book struct {
	Sections []section `json:"sections"`
}

// section is what is said of a product under a contract or of a reporting
// group, and how it was read, so that what comes late is read in the same way.
type section struct {
	Contract string              `json:"contract,omitempty"`
	Group    int64               `json:"group,omitempty"`
	Product  string              `json:"product"`
	Codes    []int64             `json:"codes,omitempty"` // CP codes of the group, or of the contract
	Lines    []catalog.UsageType `json:"lines,omitempty"`
	Parts    []part              `json:"parts,omitempty"`

	Summary []entry `json:"summary,omitempty"`
	ByCode  []entry `json:"by_code,omitempty"`
	ByDay   []entry `json:"by_day,omitempty"`
}

// about says whether the section is of what a request asks.
func (s *section) about(t *target) bool {
	if s.Product != t.product.ID {
		return false
	}
	if t.group != nil {
		return s.Group == t.group.ReportingGroupID
	}
	return s.Group == 0 && s.Contract == t.contracts[0].Contract.ID
}

// sections are those of a closed month's book.
func (r *reader) sections(ctx context.Context, t *target, m books.Month) ([]section, error) {
	var b book
	_, err := t.closed.Figures(ctx, m, surfaceName, &b)
	return b.Sections, err
}

// section is the one of what a request asks; found is false if the month was
// closed without any.
func (r *reader) section(ctx context.Context, t *target, m books.Month) (s section, found bool, err error) {
	all, err := r.sections(ctx, t, m)
	for i := range all {
		if all[i].about(t) {
			return all[i], true, nil
		}
	}
	return section{}, false, err
}

// month is what is said of a calendar month.
type month struct {
	entries []entry
	codes   []int64 // CP codes that it is about, nil for a contract's
	closed  bool
}

// month returns the figures of a month: those of its book where it is closed,
// else what came late for the months before, and the usage so far.
func (r *reader) month(ctx context.Context, t *target, k kind, in meter.Period) (month, error) {
	if m, closed := t.closed.Month(in); closed {
		s, _, err := r.section(ctx, t, m)
		return month{*k.of(&s), s.Codes, true}, err
	}
	lines, err := r.lines(t.principal, t.product.UsageTypes)
	if err != nil {
		return month{}, err
	}
	late, err := r.late(ctx, t, k, in)
	if err != nil {
		return month{}, err
	}
	own, err := r.entries(ctx, t, k, lines, t.parts(t.product.ID, in))
	return month{entries: append(late, own...), codes: t.codes}, err
}

// entries reads the figures of sub-periods.
func (r *reader) entries(ctx context.Context, t *target, k kind, lines []line, parts []part) ([]entry, error) {
	of := *t
	if k.codes && t.codes == nil {
		of.findCodes()
	}
	var out []entry
	for _, p := range parts {
		entries, err := k.read(r, ctx, &of, lines, p)
		if err != nil {
			return nil, err
		}
		out = append(out, entries...)
	}
	return out, nil
}

// late returns what came for closed months after they were closed, and is
// booked to an open one: an entry for each sub-period and region, with what
// counts and sums.
func (r *reader) late(ctx context.Context, t *target, k kind, open meter.Period) ([]entry, error) {
	var out []entry
	for _, due := range t.closed.DueIn(open) {
		b, err := r.billed(ctx, t, k, due)
		if err != nil {
			return nil, err
		}
		entries, err := r.lateOf(ctx, b, k)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			e.Late = due.Name
			if k.daily {
				e.Days = e.today(open, r.now)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// today gives the figures to one day: the open month's last that has begun.
func (e entry) today(open meter.Period, now time.Time) []dayValues {
	days := daysOf(open, now)
	v := dayValues{Date: days[len(days)-1].From}
	for _, s := range e.Stats {
		v.Values = append(v.Values, s.Value)
	}
	return []dayValues{v}
}

// billed is what the months billed of a closed month until now, and how to read it anew.
type billed struct {
	target
	lines []line // that count or sum
	parts []part
	month string
	own   books.Page[figureKey]
	since []books.Page[figureKey]
}

// billed collects it from the month's own book and from those of the months to
// which its late usage was booked.
func (r *reader) billed(ctx context.Context, t *target, k kind, due books.Due) (*billed, error) {
	s := &billed{target: *t, month: due.Name}
	own, found, err := r.section(ctx, t, due.Month)
	if err != nil {
		return nil, err
	}
	if !found { // it came into the catalog later: what there was at the closing is not late
		own.Lines, own.Parts = t.product.UsageTypes, t.parts(t.product.ID, due.Period)
	} else if k.codes || t.group != nil {
		s.codes = append([]int64{}, own.Codes...)
	}
	if k.codes && s.codes == nil {
		s.findCodes()
	}
	s.parts = own.Parts
	if s.lines, err = r.lines(t.principal, own.Lines); err != nil {
		return nil, err
	}
	s.lines = slices.DeleteFunc(s.lines, func(l line) bool { return !l.additive() })
	if !found {
		then := *r
		then.sequence = due.Sequence
		if *k.of(&own), err = then.entries(ctx, &s.target, k, s.lines, s.parts); err != nil {
			return nil, err
		}
	}
	s.own = pageOf(*k.of(&own))
	for _, later := range due.Between {
		section, _, err := r.section(ctx, t, later)
		if err != nil {
			return nil, err
		}
		s.since = append(s.since, pageOf(*k.of(&section)))
	}
	return s, nil
}

// lateOf reads the closed month anew and returns what differs.
func (r *reader) lateOf(ctx context.Context, s *billed, k kind) ([]entry, error) {
	live, err := r.entries(ctx, &s.target, k, s.lines, s.parts)
	if err != nil {
		return nil, err
	}
	return layOut(books.Late(s.month, pageOf(live).Own(), s.own, s.since...), s, k), nil
}

// figureKey is what a figure is of.
type figureKey struct {
	from   int64 // the sub-period's start, unix seconds
	region string
	code   int64 // 0 = none
	name   string
}

// pageOf are the figures of a month's entries.
func pageOf(entries []entry) books.Page[figureKey] {
	out := books.Page[figureKey]{}
	put := func(late string, k figureKey, stats []stat) {
		for _, s := range stats {
			k.name = s.Name
			out.Add(late, k, s.Value)
		}
	}
	for _, e := range entries {
		k := figureKey{from: e.From.Unix(), region: e.Region}
		put(e.Late, k, e.Stats)
		for _, c := range e.Codes {
			k.code = c.Code
			put(e.Late, k, c.Stats)
		}
	}
	return out
}

// layOut lays figures out, in the order of sub-periods, regions, CP codes and
// lines.
func layOut(f books.Figures[figureKey], s *billed, k kind) []entry {
	regions := map[string]bool{}
	for key := range f {
		regions[key.region] = true
	}
	var out []entry
	for _, p := range s.parts {
		for _, region := range slices.Sorted(maps.Keys(regions)) {
			key := figureKey{from: p.From.Unix(), region: region}
			e := entry{Period: p.Period, Region: region}
			if !k.codes {
				e.Stats = statsAt(f, key, s.lines)
			}
			for _, code := range s.codes {
				if key.code = code; k.codes {
					if stats := statsAt(f, key, s.lines); stats != nil {
						e.Codes = append(e.Codes, codeStats{code, stats})
					}
				}
			}
			if e.Stats == nil && e.Codes == nil {
				continue
			}
			out = append(out, e)
		}
	}
	return out
}

// statsAt are the lines' figures at a key, nil if all are zero.
func statsAt(f books.Figures[figureKey], key figureKey, lines []line) []stat {
	var out []stat
	some := false
	for _, l := range lines {
		key.name = l.usage.Name
		v := f[key]
		some = some || !v.IsZero()
		out = append(out, stat{l.usage.Name, l.usage.Unit, l.usage.Billable, v})
	}
	if !some {
		return nil
	}
	return out
}
