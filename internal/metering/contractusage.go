package metering

import (
	"context"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Agreement is a contract and the customer that holds it.
type Agreement struct {
	Owner    string
	Contract *catalog.Contract
}

// customers are all that are billed under the agreement.
func (a Agreement) customers() []string {
	return append([]string{a.Owner}, a.Contract.Customers...)
}

// Span is a time in which the terms of a contract stay as they are.
type Span struct {
	meter.Period
	Regions catalog.Regions `json:"regions"`
}

// Spans returns the times within a period in which the contract is valid and
// its terms have the product, a span for each of its terms.
func Spans(c *catalog.Contract, product string, within meter.Period) []Span {
	var out []Span
	for i, term := range c.Terms {
		p := within
		p.From = latest(p.From, term.From.Time, c.Starts.Time)
		if i+1 < len(c.Terms) {
			p.To = earliest(p.To, c.Terms[i+1].From.Time)
		}
		p.To = earliest(p.To, c.Ends.Time)
		if p.From.Before(p.To) && slices.Contains(term.Products, product) {
			out = append(out, Span{p, term.Regions})
		}
	}
	return out
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
}

// earliest leaves out what is zero, which is no end.
func earliest(t, o time.Time) time.Time {
	if !o.IsZero() && o.Before(t) {
		return o
	}
	return t
}

// Scope is whose events count in a period: those of the customers that name
// one of the contracts, "" being events that name none. They are the owner's
// to see, whichever customer used it.
type Scope struct {
	meter.Period
	Owner     string   `json:"owner"`
	Customers []string `json:"customers"`
	Contracts []string `json:"contracts"`
}

// ContractScopes says whose events of a product are the agreement's within a
// period, which must lie in one of its spans: those that name its contract,
// and those that name none of the customers for whom it is the only contract
// valid then that has the product. known are the agreements of all of these
// customers. No event lies in two of the scopes.
func ContractScopes(a Agreement, known []Agreement, product string, within meter.Period) []Scope {
	var out []Scope
	cuts := cutsOf(known, within)
	for i := range len(cuts) - 1 {
		var only, others []string
		for _, customer := range a.customers() {
			if hasOther(known, a, customer, product, cuts[i]) {
				others = append(others, customer)
			} else {
				only = append(only, customer)
			}
		}
		p := meter.Period{From: cuts[i], To: cuts[i+1]}
		if len(only) > 0 {
			out = appendScope(out, Scope{p, a.Owner, only, []string{"", a.Contract.ID}})
		}
		if len(others) > 0 {
			out = appendScope(out, Scope{p, a.Owner, others, []string{a.Contract.ID}})
		}
	}
	return out
}

// appendScope adds a scope, or lengthens the one that it goes on with.
func appendScope(to []Scope, s Scope) []Scope {
	for i := range to {
		if to[i].To.Equal(s.From) && to[i].Owner == s.Owner && slices.Equal(to[i].Customers, s.Customers) && slices.Equal(to[i].Contracts, s.Contracts) {
			to[i].To = s.To
			return to
		}
	}
	return append(to, s)
}

// cutsOf are the bounds of a period and when in it any contract changes.
func cutsOf(agreements []Agreement, within meter.Period) []time.Time {
	cuts := []time.Time{within.From, within.To}
	add := func(d catalog.Date) {
		if within.Contains(d.Time) {
			cuts = append(cuts, d.Time)
		}
	}
	for _, a := range agreements {
		add(a.Contract.Starts)
		add(a.Contract.Ends)
		for _, term := range a.Contract.Terms {
			add(term.From)
		}
	}
	slices.SortFunc(cuts, time.Time.Compare)
	return slices.CompactFunc(cuts, time.Time.Equal)
}

// hasOther says whether a customer has, at an instant, another contract with the product.
func hasOther(known []Agreement, a Agreement, customer, product string, at time.Time) bool {
	return slices.ContainsFunc(known, func(o Agreement) bool {
		return o.Contract.ID != a.Contract.ID && slices.Contains(o.customers(), customer) &&
			len(Spans(o.Contract, product, meter.Period{From: at, To: at.Add(1)})) > 0
	})
}

// ContractUsage is ProductUsage over scopes: the events that lie in any of
// them, as if they were one. Customers and Contracts of q count for nothing.
// A bound key sees the scopes that its customer owns.
//
// Errors: KindUnavailable if there are several scopes and the meter's figures
// cannot be put together from theirs, which is so unless it counts, sums, or
// samples each of a Window's widths and q has no Window.
func (s *Service) ContractUsage(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope) ([]meter.UsageRow, error) {
	return s.contractUsage(ctx, p, q, scopes, s.ProductUsage)
}

// productReader is ProductUsage, of a Service or of what was read before.
type productReader func(ctx context.Context, p access.Principal, q ProductQuery) ([]meter.UsageRow, error)

// contractUsage is ContractUsage by means of a reader.
func (s *Service) contractUsage(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope, read productReader) ([]meter.UsageRow, error) {
	asks, parts := partsOf(p, q, scopes)
	if isWhole(parts, q) {
		return read(ctx, asks, parts[0])
	}
	m, ok := s.ledger.Meter(p.Organization, q.UsageType.Meter)
	if !ok && len(parts) > 0 { // it says so in its words
		return read(ctx, asks, parts[0])
	}
	sum := sums{from: q.From, window: q.Window, loc: q.Location}
	scale := q.UsageType.Scale
	switch {
	case m.Aggregation == meter.AggCount, m.Aggregation == meter.AggSum:
	case m.Sampled() && q.Window == "":
		if sum.window = windowOf(m.SlotWidth()); sum.window == "" {
			return nil, cannotJoin(q)
		}
		scale = ""                     // at the end, once
		sum.loc, q.Location = nil, nil // samples lie on UTC
	default:
		return nil, cannotJoin(q)
	}
	if q.AsOfSequence == 0 && q.AsOf.IsZero() { // usage that comes in between the parts is in all of them or in none
		q.AsOfSequence = s.ledger.Stats().Last
	}
	for _, part := range parts {
		part.AsOfSequence, part.undivided = q.AsOfSequence, m.Sampled()
		part.Window, part.UsageType.Scale, part.Location = sum.window, scale, sum.loc
		rows, err := read(ctx, asks, part)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			sum.add(&rows[i])
		}
	}
	if m.Sampled() {
		now := s.now()
		if !q.AsOf.IsZero() && q.AsOf.Before(now) {
			now = q.AsOf
		}
		return sum.elements(m.Meter, q, now), nil
	}
	return sum.sorted(q), nil
}

// partsOf are the questions that a question over scopes is put together from, and who asks them.
func partsOf(p access.Principal, q ProductQuery, scopes []Scope) (asks access.Principal, parts []ProductQuery) {
	asks = p
	asks.Customer = ""
	for _, scope := range scopes {
		if p.Customer != "" && p.Customer != scope.Owner {
			continue
		}
		part := q
		part.Customers, part.Contracts = scope.Customers, scope.Contracts
		part.From, part.To = latest(q.From, scope.From), earliest(q.To, scope.To)
		if part.From.Before(part.To) {
			parts = append(parts, part)
		}
	}
	return asks, parts
}

// isWhole says whether one part is all of the question, so that nothing is put together.
func isWhole(parts []ProductQuery, q ProductQuery) bool {
	return len(parts) == 1 && parts[0].From.Equal(q.From) && parts[0].To.Equal(q.To)
}

// ContractUsageTo is ContractUsage from q.From to each of ends, which ascend.
func (s *Service) ContractUsageTo(ctx context.Context, p access.Principal, q ProductQuery, scopes []Scope, ends []time.Time) ([][]meter.UsageRow, error) {
	return usageTo(ctx, s, p, q, scopes, ends)
}

// usageTo asks for each end by itself.
func usageTo(ctx context.Context, r UsageReader, p access.Principal, q ProductQuery, scopes []Scope, ends []time.Time) ([][]meter.UsageRow, error) {
	out := make([][]meter.UsageRow, len(ends))
	for i, end := range ends {
		var err error
		q.To = end
		if out[i], err = r.ContractUsage(ctx, p, q, scopes); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// windowOf returns the window that is as wide as a sample, "" if none is.
func windowOf(sample time.Duration) meter.Window {
	switch sample {
	case time.Hour:
		return "hour"
	case 24 * time.Hour:
		return "day"
	}
	w, err := meter.ParseWindow(meter.Duration(sample).String())
	if err != nil {
		return ""
	}
	return w
}

func cannotJoin(q ProductQuery) error {
	return meter.Errorf(meter.KindUnavailable, "%s cannot be put together from several contracts or customers", q.UsageType.Name)
}

// sums adds up rows of the same window and group.
type sums struct {
	from   time.Time
	window meter.Window
	loc    *time.Location
	rows   []meter.UsageRow
	at     map[string]int
}

func (s *sums) add(r *meter.UsageRow) {
	start := s.from
	if s.window != "" { // a scope may begin inside a window
		start = latest(s.window.Start(r.Start, s.loc), s.from)
	}
	key := meter.JoinPath(append([]string{start.String()}, r.Group...)...)
	if s.at == nil {
		s.at = map[string]int{}
	}
	i, seen := s.at[key]
	if !seen {
		i = len(s.rows)
		s.at[key] = i
		s.rows = append(s.rows, meter.UsageRow{Start: start, Group: r.Group})
	}
	s.rows[i].Value = s.rows[i].Value.Add(r.Value)
}

func (s *sums) sorted(q ProductQuery) []meter.UsageRow {
	for i := range s.rows {
		r := &s.rows[i]
		r.End = q.To
		if s.window != "" {
			r.End = earliest(q.To, s.window.Next(r.Start, s.loc))
			r.Clipped = !s.window.Start(r.Start, s.loc).Equal(r.Start) || !s.window.Next(r.Start, s.loc).Equal(r.End)
		}
	}
	slices.SortFunc(s.rows, func(a, b meter.UsageRow) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return slices.Compare(a.Group, b.Group)
	})
	return s.rows
}

// elements takes each group's percentile or peak of its samples, those
// without events being zero.
func (s *sums) elements(m meter.Meter, q ProductQuery, now time.Time) []meter.UsageRow {
	var out []meter.UsageRow
	_, n := meter.Samples(q.From, q.To, now, m.SlotWidth())
	groups := map[string][]meter.Decimal{}
	for _, r := range s.rows {
		key := meter.JoinPath(r.Group...)
		if groups[key] == nil {
			out = append(out, meter.UsageRow{Start: q.From, End: q.To, Group: r.Group})
		}
		groups[key] = append(groups[key], r.Value)
	}
	for i := range out {
		out[i].Value = m.Result(element(m, groups[meter.JoinPath(out[i].Group...)], n), q.UsageType.ScaleDecimal())
	}
	slices.SortFunc(out, func(a, b meter.UsageRow) int { return slices.Compare(a.Group, b.Group) })
	return out
}

// element is the percentile or the peak of n samples, those that are not given
// being zero. It sorts them.
func element(m meter.Meter, samples []meter.Decimal, n int) meter.Decimal {
	slices.SortFunc(samples, meter.Decimal.Cmp)
	return elementOf(m, samples, n)
}

// elementOf is element of samples in ascending order.
func elementOf(m meter.Meter, samples []meter.Decimal, n int) meter.Decimal {
	zeros := max(n-len(samples), 0)
	at := len(samples) + zeros - 1
	if m.Aggregation == meter.AggPercentile {
		at = meter.PercentileRank(m.Percentile.Decimal(), len(samples)+zeros) - 1
	}
	// The zeros lie between the negative samples and the others.
	below, _ := slices.BinarySearchFunc(samples, meter.Decimal{}, meter.Decimal.Cmp)
	switch {
	case at < below:
		return samples[at]
	case at >= below+zeros:
		return samples[at-zeros]
	}
	return meter.Decimal{}
}
