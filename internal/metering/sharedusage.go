package metering

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// sharedUsage answers the questions of a closing that goes through customers
// in order. What is asked of one customer is mostly asked of the next too, so
// that it is read for several at once:
//
//	question of a customer ─► the same without what tells customers apart (form)
//	                        ─► is it read for this customer? ─► its rows
//	                        └► read it for the next so many, by customer, contract, ...
//
// How many are read for follows from how many asked the last time, so that no
// more is read than a multiple of what is asked for. What cannot be put
// together from such rows is asked by itself. It is for one goroutine.
type sharedUsage struct {
	service      *Service
	organization string
	view         func(ctx context.Context, customers []string) (*catalog.View, error) // has them
	customers    []string
	at           int // the customer whose turn it is
	forms        map[string]*sharedForm
	meters       map[string]*meter.Meter // that were asked for, nil where there is none
}

// sharedForm is what is known of one form of questions.
type sharedForm struct {
	first, end int  // the customers that it was read for last
	users      int  // of them that asked
	last       int  // the last that did
	most       int  // of customers it can be read for
	alone      bool // each is asked by itself
	rows       map[string][]meter.UsageRow
}

const (
	sharedGrowth   = 8      // the next read is for so many times as many customers as asked
	mostShared     = 10_000 // customers
	mostSharedRows = 50_000 // of one form
	mostForms      = 10_000
)

func newSharedUsage(s *Service, organization string, view func(context.Context, []string) (*catalog.View, error), customers []string) *sharedUsage {
	return &sharedUsage{service: s, organization: organization, view: view, customers: customers, forms: map[string]*sharedForm{}, meters: map[string]*meter.Meter{}}
}

// meter returns a meter as it was when it was first asked for: to look it up
// for each question would cost as much as the answer.
func (u *sharedUsage) meter(key string) *meter.Meter {
	m, known := u.meters[key]
	if !known {
		if state, ok := u.service.ledger.Meter(u.organization, key); ok {
			m = &state.Meter
		}
		u.meters[key] = m
	}
	return m
}

// turnTo goes on to a customer.
func (u *sharedUsage) turnTo(at int) {
	u.at = at
	if len(u.forms) > mostForms {
		clear(u.forms)
	}
}

// ContractUsage is that of the Service.
func (u *sharedUsage) ContractUsage(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope) ([]meter.UsageRow, error) {
	return u.service.contractUsage(ctx, p, q, scopes, u.ProductUsage)
}

// ProductUsage is that of the Service.
func (u *sharedUsage) ProductUsage(ctx context.Context, p access.Principal, q ProductQuery) ([]meter.UsageRow, error) {
	ask, ok := u.question(p, q)
	if ok {
		rows, ok, err := u.rowsOf(ctx, p, ask)
		if err != nil {
			return nil, err
		}
		if ok {
			if rows, ok = ask.join(rows); ok {
				if q.most > 0 && len(rows) > q.most {
					return nil, errManyRows()
				}
				return rows, nil
			}
		}
	}
	return u.service.ProductUsage(ctx, p, q)
}

// sharedQuestion is a question and the form that is read for several customers.
type sharedQuestion struct {
	ProductQuery
	m       meter.Meter
	form    meter.UsageQuery // without customers
	key     string
	samples bool               // the form has a row for each sample
	scope   []meter.AttrFilter // what rows are taken by
	at      []int              // where they have it
	who     int                // where they have the customer
}

// question finds a question's form; false if it has none.
func (u *sharedUsage) question(p access.Principal, q ProductQuery) (*sharedQuestion, bool) {
	if p.Organization != u.organization {
		return nil, false
	}
	m := u.meter(q.UsageType.Meter)
	if m == nil || p.Customer != "" || q.AsOfSequence == 0 || !q.AsOf.IsZero() || len(q.Customers) == 0 ||
		!q.From.Before(q.To) || q.To.After(u.service.now()) {
		return nil, false
	}
	ask := &sharedQuestion{ProductQuery: q, m: *m, scope: q.scope()}
	by := slices.Clone(q.By)
	for _, f := range ask.scope {
		if slices.ContainsFunc(f.Values, func(v string) bool { return len(v) > meter.MaxGroupBytes }) {
			return nil, false // a group has another text
		}
		at := slices.Index(by, f.Attribute)
		if at < 0 {
			at = len(by)
			by = append(by, f.Attribute)
		}
		if ask.at = append(ask.at, at); f.Attribute == meter.CustomerAttribute {
			ask.who = at
		}
	}
	filters := q.ofType()
	slices.SortFunc(filters, func(a, b meter.AttrFilter) int { return strings.Compare(a.Attribute, b.Attribute) })
	ask.form = meter.UsageQuery{Organization: u.organization, Meter: m.Key, From: q.From, To: q.To, Window: q.Window, GroupBy: by, Filters: filters,
		AsOfSequence: q.AsOfSequence, Location: q.Location, All: true, Undivided: true}
	if m.Sampled() {
		u.bySample(ask)
	}
	ask.key = formKey(&ask.form)
	return ask, true
}

// formKey tells forms apart by all that they differ in.
func formKey(q *meter.UsageQuery) string {
	b := make([]byte, 0, 256)
	number := func(n int64) { b = append(strconv.AppendInt(b, n, 36), ' ') }
	text := func(s string) { b = appendLengthAnd(b, s) }
	text(q.Meter)
	number(q.From.UnixNano())
	number(q.To.UnixNano())
	text(string(q.Window))
	if q.Location != nil {
		text(q.Location.String())
	} else {
		text("")
	}
	number(int64(q.AsOfSequence))
	number(int64(len(q.GroupBy)))
	for _, by := range q.GroupBy {
		text(by)
	}
	for _, f := range q.Filters {
		text(f.Attribute)
		number(int64(len(f.Values)))
		for _, v := range f.Values {
			text(v)
		}
	}
	return string(b)
}

// lengthsKey joins texts, whatever they are, into one that no others make.
func lengthsKey(texts ...string) string {
	var b []byte
	for _, text := range texts {
		b = appendLengthAnd(b, text)
	}
	return string(b)
}

// appendLengthAnd appends a text behind its length, so that it ends where it does whatever follows.
func appendLengthAnd(b []byte, text string) []byte {
	return append(append(strconv.AppendInt(b, int64(len(text)), 36), ' '), text...)
}

// bySample makes the form one of samples where they are in it as a whole, so
// that they can be added up, and parts of a month are found in the month.
func (u *sharedUsage) bySample(ask *sharedQuestion) {
	width := ask.m.SlotWidth()
	sample := windowOf(width)
	whole := func(at time.Time) bool { return at.UnixNano()%int64(width) == 0 }
	in := meter.Month(ask.From)
	if sample == "" || ask.Window != "" && (ask.Window != sample || ask.Location != nil) || !whole(ask.From) || !whole(ask.To) || !whole(in.From) || !whole(in.To) {
		return
	}
	if ask.samples = true; !in.To.Before(ask.To) && !in.To.After(u.service.now()) {
		ask.form.From, ask.form.To = in.From, in.To
	}
	ask.form.Window, ask.form.Location = sample, nil
}

// rowsOf returns the form's rows of the question's customers; false if it is to
// be asked by itself.
func (u *sharedUsage) rowsOf(ctx context.Context, p access.Principal, ask *sharedQuestion) (rows []meter.UsageRow, ok bool, err error) {
	f := u.forms[ask.key]
	if f == nil { // it may be the only one of its form
		u.forms[ask.key] = &sharedForm{first: u.at, end: u.at + 1, users: 1, last: u.at, most: mostShared, alone: true}
		return nil, false, nil
	}
	if u.at >= f.end || u.at < f.first {
		if err := u.read(ctx, p, ask, f); err != nil {
			return nil, false, err
		}
	}
	if u.at != f.last {
		f.last = u.at
		f.users++
	}
	if f.alone {
		return nil, false, nil
	}
	for i, customer := range ask.Customers {
		if slices.Contains(ask.Customers[:i], customer) {
			continue
		}
		of, read := f.rows[customer]
		if !read {
			return nil, false, nil
		}
		rows = append(rows, of...)
	}
	return rows, true, nil
}

// read reads a form for the customers that come next, for fewer if they are
// too many for one answer.
func (u *sharedUsage) read(ctx context.Context, p access.Principal, ask *sharedQuestion, f *sharedForm) error {
	n := min(max(1, sharedGrowth*f.users), f.most)
	f.users, f.last, f.rows = 0, -1, nil
	for ; n > 1; n /= 4 {
		next := u.customers[u.at:min(u.at+n, len(u.customers))]
		rows, err := u.ask(ctx, p, ask, next)
		if err == nil {
			f.first, f.end, f.alone, f.rows = u.at, u.at+len(next), false, rows
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		f.most = max(1, n/4)
	}
	f.first, f.end, f.alone = u.at, u.at+1, true // its own error, if it has one
	return nil
}

// ask asks for the form's rows of customers and of those that are billed under
// a contract of theirs, by customer.
func (u *sharedUsage) ask(ctx context.Context, p access.Principal, ask *sharedQuestion, customers []string) (map[string][]meter.UsageRow, error) {
	of := make(map[string][]meter.UsageRow, len(customers))
	var all []string
	add := func(customer string) {
		if _, known := of[customer]; !known {
			of[customer] = nil
			all = append(all, customer)
		}
	}
	view, err := u.view(ctx, customers)
	if err != nil {
		return nil, err
	}
	for _, customer := range customers {
		add(customer)
		for _, c := range view.ContractsOf(customer) {
			for _, other := range c.Customers {
				add(other)
			}
		}
	}
	ctx, turn, err := u.service.turn(ctx, p)
	if err != nil {
		return nil, err
	}
	defer turn.Done()
	q := ask.form
	q.Filters = append(slices.Clone(q.Filters), meter.AttrFilter{Attribute: meter.CustomerAttribute, Values: all})
	answer, err := u.service.ledger.Usage(ctx, q)
	if err != nil {
		return nil, turn.Because(ctx, err)
	}
	if len(customers) > 1 && len(answer.Rows) > mostSharedRows {
		return nil, errManyRows()
	}
	for _, r := range answer.Rows {
		of[r.Group[ask.who]] = append(of[r.Group[ask.who]], r)
	}
	return of, nil
}

// join makes the question's answer of the form's rows; false if its figures
// cannot be put together from theirs.
func (ask *sharedQuestion) join(rows []meter.UsageRow) (out []meter.UsageRow, ok bool) {
	additive := ask.m.Aggregation == meter.AggCount || ask.m.Aggregation == meter.AggSum || ask.samples
	at := map[string]int{}
	samples := map[string]map[int64]meter.Decimal{} // by group
	for i := range rows {
		r := rows[i]
		if !ask.takes(&r) {
			continue
		}
		r.Group = slices.Clip(r.Group[:len(ask.By)])
		key := lengthsKey(r.Group...)
		if ask.samples && ask.Window == "" {
			if samples[key] == nil {
				samples[key] = map[int64]meter.Decimal{}
				out = append(out, meter.UsageRow{Start: ask.From.UTC(), End: ask.To.UTC(), Group: r.Group})
			}
			start := r.Start.UnixNano()
			samples[key][start] = samples[key][start].Add(r.Value)
			continue
		}
		key = strconv.FormatInt(r.Start.UnixNano(), 36) + " " + key
		if have, seen := at[key]; !seen {
			at[key] = len(out)
			out = append(out, r)
		} else if additive {
			out[have].Value = out[have].Value.Add(r.Value)
		} else {
			return nil, false
		}
	}
	for i := range out {
		out[i].Value = ask.value(out[i], samples)
	}
	slices.SortFunc(out, func(a, b meter.UsageRow) int {
		return cmp.Or(a.Start.Compare(b.Start), slices.Compare(a.Group, b.Group))
	})
	return out, true
}

// takes says whether a row is of what is asked for.
func (ask *sharedQuestion) takes(r *meter.UsageRow) bool {
	for i, f := range ask.scope {
		if !slices.Contains(f.Values, r.Group[ask.at[i]]) {
			return false
		}
	}
	return !ask.samples || !r.Start.Before(ask.From) && r.Start.Before(ask.To)
}

// value is the figure of a row that has been added up.
func (ask *sharedQuestion) value(r meter.UsageRow, samples map[string]map[int64]meter.Decimal) meter.Decimal {
	scale := ask.UsageType.ScaleDecimal()
	switch {
	case ask.undivided:
		return r.Value
	case !ask.samples, ask.Window != "":
		return ask.m.Result(r.Value, scale)
	}
	var values []meter.Decimal
	for _, v := range samples[lengthsKey(r.Group...)] {
		values = append(values, v)
	}
	_, n := meter.Samples(ask.From, ask.To, ask.To, ask.m.SlotWidth())
	return ask.m.Result(element(ask.m, values, n), scale)
}
