package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// question is a UsageQuery made ready: names resolved, windows laid out.
type question struct {
	q       meter.UsageQuery
	m       *meterState
	def     meter.Meter
	from    int64 // unix ns
	to      int64
	asOf    moment
	loc     *time.Location
	filters []meter.AttrFilter // customer of a bound key included
	lo, hi  int64              // accepted events of the range lie in [lo, hi)
	bounds  []int64            // of the windows that can hold anything
	empty   bool               // none can: bounds stands for nothing
	clipLo  bool               // the first window of bounds begins before From
	clipHi  bool
	after   *usageCursor
	texts   func(uint64) (string, error)
	cells   int // that were read to answer it
	room    *reading
}

// usageCursor is the last row of the page before.
type usageCursor struct {
	Question string   `json:"q"` // of what the pages are: see questionMark
	Start    int64    `json:"s"`
	Group    []string `json:"g"`
}

// parseUsageCursor reads the text that an answer to the question gave, and no
// other form of it. A place among the rows of another question would leave out
// rows of this one.
func parseUsageCursor(text string, q *meter.UsageQuery) (*usageCursor, bool) {
	var c *usageCursor
	raw, ok := meter.ReadCursor(text)
	if !ok || json.Unmarshal(raw, &c) != nil || c == nil || len(c.Group) != len(q.GroupBy) || c.Question != questionMark(q) {
		return nil, false
	}
	again, err := json.Marshal(c)
	return c, err == nil && bytes.Equal(again, raw)
}

// questionMark tells questions apart by all that decides which rows there are;
// pages of one question may differ in their length.
func questionMark(q *meter.UsageQuery) string {
	zone := ""
	if q.Location != nil {
		zone = q.Location.String()
	}
	var filters []string // their order, and that of their values, means nothing
	for _, f := range q.Filters {
		filters = append(filters, fmt.Sprintf("%q %q", f.Attribute, slices.Sorted(slices.Values(f.Values))))
	}
	slices.Sort(filters)
	customer := "any"
	if q.Customer != nil {
		customer = fmt.Sprintf("%q", *q.Customer)
	}
	asOf := int64(0)
	if !q.AsOf.IsZero() {
		asOf = q.AsOf.UnixNano()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %q %q %q %q %s %d %d %t %t", q.Organization, q.Meter, q.From.UnixNano(), q.To.UnixNano(),
		q.Window, zone, q.GroupBy, filters, customer, asOf, q.AsOfSequence, q.FillZero, q.Undivided))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Usage answers a question about one meter. Cells answer where the grouping,
// filters and zone allow, a scan of the events where not; both are exact.
func (l *Ledger) Usage(ctx context.Context, q meter.UsageQuery) (*meter.Usage, error) {
	done, err := l.read()
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		u, err := l.usage(ctx, q)
		if !errors.Is(err, errMoved) {
			return u, l.tellDamage(q.Organization, err)
		}
	}
}

// errMoved says that what a question was made ready for is out of date.
var errMoved = errors.New("the question is out of date")

func (l *Ledger) usage(ctx context.Context, q meter.UsageQuery) (*meter.Usage, error) {
	qu, err := l.question(q)
	if err != nil {
		return nil, err
	}
	key := ""
	if qu.mayKeep(l.now()) {
		key = qu.key()
		if u := l.keptAnswer(qu, key); u != nil {
			return u, nil
		}
	}
	defer qu.room.release()
	u := &meter.Usage{Source: "cells"}
	ok, err := l.answerFromCells(ctx, qu, u)
	if err == nil && !ok {
		u.Source = "events"
		err = l.answerFromEvents(ctx, qu, u)
	}
	if err != nil {
		return nil, err
	}
	if q.AsOfSequence > u.Sequence {
		return nil, meter.Errorf(meter.KindInvalid, "the log is at sequence %d, before %d", u.Sequence, q.AsOfSequence)
	}
	u.Sequence = cmp.Or(q.AsOfSequence, u.Sequence)
	if ok && key != "" {
		l.keep(key, qu.cells, u)
	}
	return u, nil
}

// answerFromCells says whether the cells can answer.
func (l *Ledger) answerFromCells(ctx context.Context, qu *question, u *meter.Usage) (bool, error) {
	if !qu.fitsCells() {
		return false, nil
	}
	if ok, err := l.pageByKey(ctx, qu, u); ok || err != nil {
		return ok, err
	}
	if ok, err := l.walkGroups(ctx, qu, u); ok || err != nil {
		return ok, err
	}
	c, sequence, ok, err := l.readCells(ctx, qu)
	if err != nil || !ok {
		return false, err
	}
	return true, qu.answer(u, c, sequence, l.limits)
}

func (l *Ledger) answerFromEvents(ctx context.Context, qu *question, u *meter.Usage) error {
	c, sequence, err := l.scanUsage(ctx, qu)
	if err != nil {
		return err
	}
	return qu.answer(u, c, sequence, l.limits)
}

func (qu *question) answer(u *meter.Usage, c *collector, sequence uint64, lim Limits) error {
	u.Sequence = sequence
	u.Total, u.HasTotal = c.totalFigure()
	return qu.rows(u, c, lim)
}

func (l *Ledger) question(q meter.UsageQuery) (*question, error) {
	qu := &question{q: q, loc: q.Location, room: l.newReading(q.Organization)}
	var org state.OrgRecord
	l.mu.RLock()
	o := l.peekOrg(q.Organization)
	if o != nil {
		org = o.record
		if qu.m = o.meter(q.Meter); qu.m != nil {
			qu.def = qu.m.record.Meter
		}
	}
	l.mu.RUnlock()
	if qu.m == nil {
		return nil, meter.Errorf(meter.KindNotFound, "there is no meter %q", q.Meter)
	}
	if err := o.stoppedError(); err != nil {
		return nil, err
	}
	if qu.loc == nil {
		qu.loc = time.UTC
	}
	if err := qu.times(); err != nil {
		return nil, err
	}
	if err := qu.names(l.limits); err != nil {
		return nil, err
	}
	err := qu.windows(&org, l.limits)
	if qu.empty = len(qu.bounds) < 2; qu.empty {
		qu.bounds = []int64{qu.from, qu.from + 1}
	}
	return qu, err
}

// current says whether the question still fits the organization as it is now,
// when the answer's view is taken: the meter is there, and no event lies in
// the range beyond the windows laid out. l.mu is held.
func (qu *question) current(o *orgState) bool {
	qu.span(&o.record)
	within := qu.lo >= qu.hi || !qu.empty && qu.lo >= qu.bounds[0] && qu.hi <= qu.bounds[len(qu.bounds)-1]
	return within && o.meter(qu.q.Meter) == qu.m
}

// span finds where the accepted events of the range lie.
func (qu *question) span(o *state.OrgRecord) {
	qu.lo, qu.hi = max(qu.from, o.MinTime), min(qu.to, o.MaxTime+1)
	if o.Accepted == 0 || qu.lo >= qu.hi {
		qu.lo, qu.hi = qu.from, qu.from
	}
}

// times checks the range, which must lie within the ledger's nanoseconds.
func (qu *question) times() error {
	q := qu.q
	if !q.From.Before(q.To) {
		return meter.Errorf(meter.KindInvalid, "from %s is not before to %s", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	}
	if q.From.Before(minTime) || q.To.After(maxTime) {
		return meter.Errorf(meter.KindInvalid, "from and to must lie between %s and %s", minTime.Format(time.DateOnly), maxTime.Format(time.DateOnly))
	}
	qu.from, qu.to = q.From.UnixNano(), q.To.UnixNano()
	if !q.AsOf.IsZero() {
		if qu.asOf.at = clampNanos(q.AsOf); qu.asOf.at == 0 {
			qu.asOf.at = -1 // 0 would mean now
		}
	}
	qu.asOf.sequence = q.AsOfSequence
	if qu.asOf.at != 0 && qu.asOf.sequence != 0 {
		return meter.Errorf(meter.KindInvalid, "as of a time and as of a log sequence are two questions")
	}
	return nil
}

// What fits unix nanoseconds with room for a year's window around it.
var (
	minTime = time.Date(1680, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2260, 1, 1, 0, 0, 0, 0, time.UTC)
)

const maxUsageAttributes = 16

func (qu *question) names(lim Limits) error {
	q := qu.q
	if len(q.GroupBy)+len(q.Filters) > maxUsageAttributes {
		return meter.Errorf(meter.KindInvalid, "%d attributes in group_by and filters (limit %d)", len(q.GroupBy)+len(q.Filters), maxUsageAttributes)
	}
	for i, g := range q.GroupBy {
		if g == "" || slices.Contains(q.GroupBy[:i], g) {
			return meter.Errorf(meter.KindInvalid, "group_by names %q twice or empty", g)
		}
	}
	if q.Limit < 0 || q.Limit > lim.UsageRows {
		return meter.Errorf(meter.KindInvalid, "limit %d: want 1 to %d", q.Limit, lim.UsageRows)
	}
	if q.All && (q.Limit != 0 || q.Cursor != "") {
		return meter.Errorf(meter.KindInternal, "a question for all rows has no pages")
	}
	if err := qu.sorting(lim); err != nil {
		return err
	}
	qu.filters = slices.Clone(q.Filters)
	if q.Customer != nil {
		qu.filters = append(qu.filters, meter.AttrFilter{Attribute: meter.CustomerAttribute, Values: []string{*q.Customer}})
	}
	if q.Cursor != "" {
		var ok bool
		if qu.after, ok = parseUsageCursor(q.Cursor, &q); !ok {
			return meter.Errorf(meter.KindInvalid, "the cursor is not one of this question")
		}
	}
	if q.After != nil {
		if len(q.After) != len(q.GroupBy) || qu.after != nil || q.Window != "" || q.ByValue || q.All {
			return meter.Errorf(meter.KindInternal, "a question for rows after a group has neither windows nor a cursor")
		}
		qu.after = &usageCursor{Start: qu.from, Group: q.After}
	}
	return nil
}

// sorting checks what cannot be asked of rows sorted by value.
func (qu *question) sorting(lim Limits) error {
	q := &qu.q
	switch {
	case !q.ByValue:
		return nil
	case len(q.GroupBy) == 0:
		return meter.Errorf(meter.KindInvalid, "rows are sorted by value within group_by, which is missing")
	case q.Window != "" || q.FillZero:
		return meter.Errorf(meter.KindInvalid, "rows are sorted by value over the whole range, without windows")
	case q.Cursor != "" || q.All:
		return meter.Errorf(meter.KindInvalid, "rows sorted by value have one page, and no cursor")
	case q.Limit > lim.UsageLargest:
		return meter.Errorf(meter.KindInvalid, "limit %d: want 1 to %d of rows sorted by value", q.Limit, lim.UsageLargest)
	}
	return nil
}

// windows lays out the windows that can hold anything, all of them for FillZero.
func (qu *question) windows(o *state.OrgRecord, lim Limits) error {
	qu.span(o)
	lo, hi := qu.lo, qu.hi
	if qu.q.FillZero {
		lo, hi = qu.from, qu.to
	}
	if lo >= hi {
		return nil // windows without events are omitted
	}
	if qu.q.Window == "" {
		qu.bounds = []int64{qu.from, qu.to}
		return nil
	}
	w := qu.q.Window
	start := w.Start(time.Unix(0, lo), qu.loc)
	if first := start.UnixNano(); first < qu.from {
		qu.clipLo = true
		qu.bounds = append(qu.bounds, qu.from)
	} else {
		qu.bounds = append(qu.bounds, first)
	}
	for at := start; ; {
		at = w.Next(at, qu.loc)
		if at.UnixNano() >= hi {
			end := at.UnixNano()
			if end > qu.to {
				end, qu.clipHi = qu.to, true
			}
			qu.bounds = append(qu.bounds, end)
			return nil
		}
		qu.bounds = append(qu.bounds, at.UnixNano())
		if len(qu.bounds) > lim.UsageWindows {
			return meter.Errorf(meter.KindInvalid, "the range has more than %d windows; ask for a shorter range or wider windows", lim.UsageWindows)
		}
	}
}

// fitsCells says whether the meter's cells can answer: they know every
// attribute asked for, and no slot straddles two windows. Edges of the range
// off the slots are read from the events, see readCells.
func (qu *question) fitsCells() bool {
	if qu.asOf.at != 0 { // as of a sequence, readCells finds out
		return false
	}
	for _, g := range qu.q.GroupBy {
		if !slices.Contains(qu.m.Order, g) {
			return false
		}
	}
	for _, f := range qu.filters {
		if !slices.Contains(qu.m.Order, f.Attribute) {
			return false
		}
	}
	if qu.q.Window == "" {
		return true
	}
	return qu.q.Window.Aligned(time.Unix(0, qu.bounds[0]), time.Unix(0, qu.bounds[len(qu.bounds)-1]), qu.loc, qu.m.Width)
}

// rows turns the collector's figures into one page of rows in order of start, then group.
func (qu *question) rows(u *meter.Usage, c *collector, lim Limits) error {
	figs := c.figures()
	if qu.q.FillZero {
		var err error
		if figs, err = qu.fill(figs, lim); err != nil {
			return err
		}
	}
	page := qu.page(lim)
	if qu.q.All {
		page.most = len(figs) + 1
	}
	for _, f := range figs {
		if qu.q.ByValue && page.leavesOut(f.value) {
			continue
		}
		r := meter.UsageRow{Start: time.Unix(0, qu.bounds[f.window]).UTC(), End: time.Unix(0, qu.bounds[f.window+1]).UTC(), Value: f.value}
		r.Clipped = f.window == 0 && qu.clipLo || f.window == len(qu.bounds)-2 && qu.clipHi
		for _, id := range f.group {
			s, err := qu.texts(id)
			if err != nil {
				return err
			}
			r.Group = append(r.Group, s)
		}
		if qu.after == nil || qu.isAfter(&r) {
			if err := page.add(r); err != nil {
				return err
			}
		}
	}
	return qu.cut(u, &page, lim)
}

// page returns an empty page for the rows of an answer, and one more row where
// there may be a next page.
func (qu *question) page(lim Limits) rowPage {
	most := qu.limit(lim)
	if !qu.q.ByValue {
		most++
	}
	return rowPage{most: most, room: qu.room, order: qu.compare()}
}

// cut makes a page the rows of the answer, and says where the next one begins.
func (qu *question) cut(u *meter.Usage, page *rowPage, lim Limits) error {
	rows, limit := page.rows, qu.limit(lim)
	slices.SortFunc(rows, page.order)
	switch {
	case qu.q.All:
		limit = len(rows)
	case !qu.q.ByValue:
		limit = min(limit, rowsWithin(rows, lim.PageBytes))
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		raw, err := json.Marshal(usageCursor{Question: questionMark(&qu.q), Start: last.Start.UnixNano(), Group: append([]string{}, last.Group...)})
		if err != nil {
			return err
		}
		u.NextCursor = meter.WriteCursor(raw)
	}
	u.Rows = rows
	return nil
}

func compareRows(a, b meter.UsageRow) int {
	if c := a.Start.Compare(b.Start); c != 0 {
		return c
	}
	return slices.Compare(a.Group, b.Group)
}

func (qu *question) isAfter(r *meter.UsageRow) bool {
	return compareRows(*r, meter.UsageRow{Start: time.Unix(0, qu.after.Start).UTC(), Group: qu.after.Group}) > 0
}

// fill adds a zero row for every window of every group that has none.
func (qu *question) fill(figs []figure, lim Limits) ([]figure, error) {
	type at struct {
		window int
		group  string
	}
	have := map[at]bool{}
	groups := map[string][]uint64{}
	key := func(ids []uint64) string {
		var b strings.Builder
		for _, id := range ids {
			for i := range 8 {
				b.WriteByte(byte(id >> (8 * i)))
			}
		}
		return b.String()
	}
	if len(qu.q.GroupBy) == 0 {
		groups[""] = nil
	}
	for _, f := range figs {
		k := key(f.group)
		have[at{f.window, k}] = true
		groups[k] = f.group
	}
	if len(groups)*(len(qu.bounds)-1) > lim.UsageWindows {
		return nil, tooManyRows(lim)
	}
	if err := qu.room.grow(int64(len(groups)*(len(qu.bounds)-1)-len(figs)) * windowStateBytes); err != nil {
		return nil, err
	}
	for k, ids := range groups {
		for w := range len(qu.bounds) - 1 {
			if !have[at{w, k}] {
				figs = append(figs, figure{window: w, group: ids, filled: true})
			}
		}
	}
	return figs, nil
}

func tooManyRows(lim Limits) error {
	return meter.Errorf(meter.KindInvalid, "the answer has more than %d rows; ask for a shorter range or wider windows", lim.UsageWindows)
}
