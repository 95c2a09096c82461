package metering

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// UnattributedQuery asks for a page of what is unattributed in a range.
type UnattributedQuery struct {
	In     meter.Period
	Limit  int    // rows; 0 = MaxUnattributed
	Cursor string // NextCursor of the page before
}

// MaxUnattributed is how many rows a page has at most.
const MaxUnattributed = 10_000

// UnattributedPage is a part of the list. It may be shorter than asked for, and
// even empty, and not be the last.
type UnattributedPage struct {
	Rows       []Unattributed
	NextCursor string // "" at the end
}

// What a page looks at before it ends short.
const (
	mostLookedAt = 20_000 // customers, known ones and those that usage names
	firstBatch   = 32     // known customers asked for at once
	mostBatch    = 512
	leastUnknown = 100 // customers that usage names, read at once
	mostUnknown  = 10_000
)

// unattributedPlace is how far a list of unattributed usage has come: behind a
// row, or behind all of a customer.
type unattributedPlace struct {
	Query    string `json:"q"` // of what: range and key
	Reason   string `json:"r"`
	Customer string `json:"c"`
	Done     bool   `json:"d,omitempty"` // all of the customer
	Value    string `json:"v,omitempty"`
	Meter    string `json:"m,omitempty"`
	From     int64  `json:"f,omitempty"`
	Shown    int    `json:"n,omitempty"` // rows that are alike in all of the above
}

// UnattributedPage lists what is unattributed in a range page by page, in order
// of reason, customer and value. Each page is made when it is asked for.
func (s *Service) UnattributedPage(ctx context.Context, p access.Principal, q UnattributedQuery) (*UnattributedPage, error) {
	return s.unattributedPage(ctx, p, q, mostLookedAt)
}

func (s *Service) unattributedPage(ctx context.Context, p access.Principal, q UnattributedQuery, looks int) (*UnattributedPage, error) {
	if err := p.May(access.ActionRead); err != nil {
		return nil, err
	}
	if q.Limit < 0 || q.Limit > MaxUnattributed {
		return nil, meter.Errorf(meter.KindInvalid, "limit %d: want 1 to %d", q.Limit, MaxUnattributed)
	}
	mark := fmt.Sprintf("%d %d %q", q.In.From.UnixNano(), q.In.To.UnixNano(), p.Customer)
	w := s.walkUnattributed(p, q.In)
	w.most, w.looks = cmp.Or(q.Limit, MaxUnattributed), looks
	if q.Cursor != "" {
		var err error
		if w.resume, err = readUnattributedPlace(q.Cursor, mark); err != nil {
			return nil, err
		}
		w.at = *w.resume
	}
	more, err := w.run(ctx)
	if err != nil {
		return nil, err
	}
	page := &UnattributedPage{Rows: w.out}
	if more {
		w.at.Query = mark
		raw, err := json.Marshal(w.at)
		if err != nil {
			return nil, err
		}
		page.NextCursor = meter.WriteCursor(raw)
	}
	return page, nil
}

func readUnattributedPlace(cursor, mark string) (*unattributedPlace, error) {
	var at *unattributedPlace
	raw, ok := meter.ReadCursor(cursor)
	if ok = ok && json.Unmarshal(raw, &at) == nil && at != nil && at.Query == mark; ok {
		again, err := json.Marshal(at)
		ok = err == nil && bytes.Equal(again, raw)
	}
	if !ok {
		return nil, meter.Errorf(meter.KindInvalid, "the cursor is not one of this question")
	}
	return at, nil
}

// unattributedWalk goes through what is unattributed in its order. Unknown
// customers are found among those that usage names, which are read in order;
// the other reasons are looked for among the customers of the catalog.
type unattributedWalk struct {
	unattributed
	most   int // rows
	looks  int // customers that may still be looked at
	resume *unattributedPlace
	at     unattributedPlace // behind the last row of out
	out    []Unattributed
}

func (s *Service) walkUnattributed(p access.Principal, in meter.Period) *unattributedWalk {
	return &unattributedWalk{unattributed: unattributed{service: s, asks: p, in: in}, most: math.MaxInt, looks: math.MaxInt}
}

// run returns whether there may be more than it has found.
func (w *unattributedWalk) run(ctx context.Context) (more bool, err error) {
	for _, reason := range []string{unattributedAccountGroup, unattributedContract, unattributedCustomer, unattributedService} {
		if w.resume != nil && reason < w.resume.Reason {
			continue
		}
		if w.resume != nil && reason > w.resume.Reason {
			w.resume = nil
		}
		meters := w.service.tellers(w.asks.Organization, reason)
		if used, err := w.used(ctx, meters); err != nil || !used {
			if err != nil {
				return false, err
			}
			continue
		}
		if reason == unattributedCustomer {
			more, err = w.unknown(ctx, meters)
		} else {
			more, err = w.known(ctx, reason, meters)
		}
		if more || err != nil {
			return more, err
		}
	}
	return false, nil
}

// used says whether the meters counted anything. If not, the catalog is not read for them.
func (w *unattributedWalk) used(ctx context.Context, meters []meter.Meter) (bool, error) {
	if w.view != nil {
		return len(meters) > 0, nil
	}
	for _, m := range meters {
		if _, err := w.rows(ctx, m, w.in, nil); err != nil || w.view != nil {
			return w.view != nil, err
		}
	}
	return false, nil
}

// known looks for a reason among the customers of the catalog.
func (w *unattributedWalk) known(ctx context.Context, reason string, meters []meter.Meter) (more bool, err error) {
	find := map[string]func(context.Context, meter.Meter) error{
		unattributedService: w.services, unattributedContract: w.contracts, unattributedAccountGroup: w.tests}[reason]
	next := w.knownCustomers()
	for size := firstBatch; ; size = min(2*size, mostBatch, w.service.limits.FilterTexts) {
		batch, err := next(ctx, size)
		if err != nil || len(batch) == 0 {
			return false, err
		}
		w.found, w.only = nil, []meter.AttrFilter{{Attribute: meter.CustomerAttribute, Values: batch}}
		for _, m := range meters {
			if err := find(ctx, m); err != nil {
				return false, err
			}
		}
		if w.take() || w.looked(len(batch), reason, batch[len(batch)-1]) {
			return true, nil
		}
	}
}

// knownCustomers returns the catalog's that are still to come, in order, so many at a time.
func (w *unattributedWalk) knownCustomers() func(ctx context.Context, size int) ([]string, error) {
	if w.asks.Customer == "" && !w.view.HasAll() {
		return w.nextCustomers()
	}
	ids := w.heldCustomers()
	return func(_ context.Context, size int) ([]string, error) {
		batch := ids[:min(size, len(ids))]
		ids = ids[len(batch):]
		return batch, nil
	}
}

// nextCustomers is knownCustomers of an organization whose customers are not in memory.
func (w *unattributedWalk) nextCustomers() func(ctx context.Context, size int) ([]string, error) {
	after, first := "", ""
	if w.resume != nil {
		after = w.resume.Customer
		if !w.resume.Done {
			first = after
		}
	}
	return func(ctx context.Context, size int) (batch []string, err error) {
		if first != "" {
			is, err := w.service.catalog.AreCustomers(ctx, w.asks.Organization, []string{first})
			if err != nil {
				return nil, err
			}
			if is[first] {
				batch = []string{first}
			}
			first = ""
		}
		if more := size - len(batch); more > 0 {
			some, err := w.service.catalog.CustomersAfter(ctx, w.asks.Organization, after, more)
			if err != nil {
				return nil, err
			}
			if batch = append(batch, some...); len(some) > 0 {
				after = some[len(some)-1]
			}
		}
		return batch, nil
	}
}

// heldCustomers are those of the view that are still to come, in order.
func (w *unattributedWalk) heldCustomers() []string {
	if bound := w.asks.Customer; bound != "" {
		if _, ok := w.view.Customer(bound); ok && !(w.resume != nil && w.resume.Done) {
			return []string{bound}
		}
		return nil
	}
	var ids []string
	for i := range w.view.Customers() {
		if id := w.view.Customers()[i].ID; w.resume == nil || id > w.resume.Customer || id == w.resume.Customer && !w.resume.Done {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// unknown looks for customers that are not in the catalog among those that usage names.
func (w *unattributedWalk) unknown(ctx context.Context, meters []meter.Meter) (more bool, err error) {
	var after []string
	if w.resume != nil {
		after = []string{w.resume.Customer}
		if !w.resume.Done { // others of its rows may be still to come
			w.found, w.only = nil, []meter.AttrFilter{{Attribute: meter.CustomerAttribute, Values: after}}
			for _, m := range meters {
				if err := w.customers(ctx, m); err != nil {
					return false, err
				}
			}
			if w.take() {
				return true, nil
			}
		}
	}
	w.only = nil
	for {
		w.found = nil
		size := min(max(w.most-len(w.out), leastUnknown), mostUnknown)
		last, complete, err := w.nextUnknown(ctx, meters, after, size)
		if err != nil {
			return false, err
		}
		if w.take() {
			return true, nil
		}
		if complete {
			return false, nil
		}
		if after = []string{last}; w.looked(size, unattributedCustomer, last) {
			return true, nil
		}
	}
}

// nextUnknown finds the unknown ones among the next customers up to last, which
// all meters have told of.
func (w *unattributedWalk) nextUnknown(ctx context.Context, meters []meter.Meter, after []string, size int) (last string, complete bool, err error) {
	complete = true
	pages := make([]*meter.Usage, len(meters))
	for i, m := range meters {
		q := meter.UsageQuery{Meter: m.Key, From: w.in.From, To: w.in.To, GroupBy: []string{meter.CustomerAttribute}, After: after, Limit: size}
		if pages[i], err = w.service.Usage(ctx, w.asks, q); err != nil {
			return "", false, err
		}
		if rows := pages[i].Rows; pages[i].NextCursor != "" {
			if end := rows[len(rows)-1].Group[0]; complete || end < last {
				last, complete = end, false
			}
		}
	}
	for i, m := range meters {
		rows := slices.DeleteFunc(slices.Clone(pages[i].Rows), func(r meter.UsageRow) bool { return !complete && r.Group[0] > last })
		if err := w.addUnknown(ctx, m, rows); err != nil {
			return "", false, err
		}
	}
	return last, complete, nil
}

// take moves what was found to the rows; true if there is no room for all of it.
func (w *unattributedWalk) take() (full bool) {
	slices.SortStableFunc(w.found, compareUnattributed)
	for _, f := range w.found {
		place := unattributedPlace{Reason: f.Reason, Customer: f.Customer, Value: f.Value, Meter: f.Meter, From: f.Period.From.UnixNano()}
		if w.shown(place) {
			continue
		}
		if len(w.out) == w.most {
			return true
		}
		w.out = append(w.out, f)
		last := w.at
		last.Query, last.Shown = "", 0
		if alike := last == place; alike {
			place.Shown = w.at.Shown
		}
		place.Shown++
		w.at = place
	}
	return false
}

// shown says whether a row was on the pages before. What was shown of rows that
// are alike is counted down.
func (w *unattributedWalk) shown(p unattributedPlace) bool {
	r := w.resume
	if r == nil {
		return false
	}
	c := cmp.Or(cmp.Compare(p.Reason, r.Reason), cmp.Compare(p.Customer, r.Customer))
	if c == 0 && !r.Done {
		c = cmp.Or(cmp.Compare(p.Value, r.Value), cmp.Compare(p.Meter, r.Meter), cmp.Compare(p.From, r.From))
	}
	if c == 0 && !r.Done {
		r.Shown--
		return r.Shown >= 0
	}
	return c <= 0
}

// looked counts customers that were looked at up to one; true if the page ends with it.
func (w *unattributedWalk) looked(n int, reason, last string) bool {
	if w.looks -= n; w.looks > 0 {
		return false
	}
	w.at = unattributedPlace{Reason: reason, Customer: last, Done: true}
	return true
}
