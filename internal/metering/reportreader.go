package metering

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// reportReader makes a ProductReport, one customer after the other.
type reportReader struct {
	service   *Service
	principal access.Principal
	view      *catalog.View
	q         ReportQuery
	now       uint64 // the log sequence that open months are read at; 0 = now, or q.AsOf
	closing   bool   // a figure that cannot be put together is left out

	rowsLeft, readsLeft, bytesLeft int

	who      string // the customer
	contract *catalog.Contract
	closed   Closed
	booked   bookings
	books    map[string]*keptBook // by closed month
}

// reportLine is a line while its rows are collected.
type reportLine struct {
	ReportLine
	former bool // the catalog has it no more; closed months do
	rows   map[rowKey]*ReportRow
}

// rowKey is what rows are added up by.
type rowKey struct {
	from        int64 // unix ns
	group, unit string
	month       string // of what came late
	billable    bool
}

// customer reads one customer's lines; has is false if the contract that is
// asked for is not its own.
func (r *reportReader) customer(ctx context.Context, closed Closed) (out []ReportLine, has bool, err error) {
	r.who, r.closed, r.booked, r.books = closed.customer, closed, closed.bookings(), map[string]*keptBook{}
	if r.q.Contract != "" {
		if r.contract = contractOf(r.view, r.who, r.q.Contract); r.contract == nil {
			return nil, false, nil
		}
	}
	lines, err := r.lines(ctx)
	if err != nil {
		return nil, true, err
	}
	for _, l := range lines {
		if err := r.read(ctx, l); err != nil && !(r.closing && r.contract != nil && meter.KindOf(err) == meter.KindUnavailable) {
			return nil, true, err
		}
		if err := r.take(l); err != nil {
			return nil, true, err
		}
		out = append(out, l.ReportLine)
	}
	return out, true, nil
}

// lines are the usage types that are asked for: those of the catalog, and
// those that it has no more and closed months do.
func (r *reportReader) lines(ctx context.Context) ([]*reportLine, error) {
	var out []*reportLine
	add := func(product string, u catalog.UsageType, former, hidden bool) {
		if r.q.Product != "" && product != r.q.Product || r.q.UsageType != "" && u.Name != r.q.UsageType ||
			former && slices.ContainsFunc(out, func(l *reportLine) bool { return l.Product == product && l.UsageType.Name == u.Name }) {
			return
		}
		out = append(out, &reportLine{ReportLine: ReportLine{Customer: r.who, Product: product, UsageType: u, hidden: hidden}, former: former, rows: map[rowKey]*ReportRow{}})
	}
	for _, p := range r.view.Products() {
		for _, u := range p.UsageTypes {
			add(p.ID, u, false, r.hides(p.ID))
		}
	}
	months := r.closed.Months(meter.Period{From: r.q.From, To: r.q.To})
	for _, k := range r.begun() {
		for _, b := range r.bookedTo(k) {
			months = append(months, b.of)
		}
	}
	for _, m := range slices.Backward(months) {
		b, err := r.book(ctx, m)
		if err != nil {
			return nil, err
		}
		for _, page := range b.Lines {
			add(page.Product, page.UsageType, true, r.principal.Customer != "" && page.Others)
		}
	}
	slices.SortStableFunc(out, func(a, b *reportLine) int { return strings.Compare(a.Product, b.Product) })
	return out, nil
}

// begun are the calendar months whose first instant the range holds, up to the
// one after the last that is closed: no late usage is booked to others.
func (r *reportReader) begun() []meter.Period {
	if len(r.closed.months) == 0 {
		return nil
	}
	end := r.closed.months[len(r.closed.months)-1].To
	k := meter.Month(latest(r.q.From, r.closed.months[0].From))
	if k.From.Before(r.q.From) {
		k = meter.Month(k.To)
	}
	var out []meter.Period
	for ; k.From.Before(r.q.To) && !k.From.After(end); k = meter.Month(k.To) {
		out = append(out, k)
	}
	return out
}

// bookedTo are the closed months whose late usage a month shows, where there
// may be any.
func (r *reportReader) bookedTo(in meter.Period) []booking {
	var all []booking
	if k, closed := r.closed.Month(in); closed {
		all = r.booked.closed[k.Name]
	} else {
		for _, m := range r.closed.BookedTo(in) {
			all = append(all, booking{m, r.booked.billed[m.Name]})
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(b booking) bool {
		return r.service.ledger.Reached(r.principal.Organization, b.of.From, b.of.To) <= b.since
	})
}

func (r *reportReader) book(ctx context.Context, m ClosedMonth) (*keptBook, error) {
	if b := r.books[m.Name]; b != nil {
		return b, nil
	}
	b, err := r.closed.productBook(ctx, m)
	r.books[m.Name] = b
	return b, err
}

// page is what a closed month's book has of a line; inBook is false if that is
// no more than how it was read. A line that the book has not is read as it is
// now, as the log stood then.
func (r *reportReader) page(ctx context.Context, m ClosedMonth, l *reportLine) (p *productPage, inBook bool, err error) {
	b, err := r.book(ctx, m)
	if err != nil {
		return nil, false, err
	}
	if p = b.page(l.Product, l.UsageType.Name); p == nil {
		return &productPage{Product: l.Product, UsageType: l.UsageType}, false, nil
	}
	return p, b.inBook, nil
}

// additive says whether the figures of parts add up to that of the whole.
func (r *reportReader) additive(u catalog.UsageType) (additive, ok bool) {
	m, ok := r.service.ledger.Meter(r.principal.Organization, u.Meter)
	return m.Aggregation == meter.AggCount || m.Aggregation == meter.AggSum, ok
}

// stretch is a part of the range that is read in one way.
type stretch struct {
	meter.Period
	month    *ClosedMonth // nil = open
	page     *productPage
	inBook   bool
	additive bool
}

// read collects a line's rows.
func (r *reportReader) read(ctx context.Context, l *reportLine) error {
	stretches, additive, err := r.stretches(ctx, l)
	if err != nil {
		return err
	}
	if !additive {
		stretches = r.separate(l, stretches)
	}
	for _, st := range stretches {
		rows, err := r.readStretch(ctx, l, st)
		if err != nil {
			return err
		}
		for _, row := range rows {
			r.add(l, st, row, additive)
		}
	}
	for _, k := range r.begun() {
		for _, b := range r.bookedTo(k) {
			if err := r.addLate(ctx, l, k, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// stretches cuts the range where closed months begin and end.
func (r *reportReader) stretches(ctx context.Context, l *reportLine) (out []stretch, additive bool, err error) {
	additive = true
	add := func(st stretch) {
		if !st.From.Before(st.To) || st.month == nil && l.former {
			return
		}
		if st.additive = st.page.Additive && st.inBook; !st.inBook {
			st.additive, _ = r.additive(st.page.UsageType)
		}
		additive = additive && st.additive
		out = append(out, st)
	}
	open := &productPage{Product: l.Product, UsageType: l.UsageType}
	at := r.q.From
	for _, m := range r.closed.Months(meter.Period{From: r.q.From, To: r.q.To}) {
		add(stretch{Period: meter.Period{From: at, To: m.From}, page: open})
		st := stretch{Period: meter.Period{From: latest(at, m.From), To: earliest(m.To, r.q.To)}, month: &m}
		if st.page, st.inBook, err = r.page(ctx, m, l); err != nil {
			return nil, false, err
		}
		if b := r.books[m.Name]; !l.former || b.page(l.Product, l.UsageType.Name) != nil {
			add(st)
		}
		at = st.To
	}
	add(stretch{Period: meter.Period{From: at, To: r.q.To}, page: open})
	return out, additive, nil
}

// separate lays out what is read of figures that do not add up: windows that
// lie in one closed month as it was closed, all others as they are now.
func (r *reportReader) separate(l *reportLine, stretches []stretch) []stretch {
	if len(stretches) < 2 || l.former {
		return stretches
	}
	whole := stretch{Period: meter.Period{From: r.q.From, To: r.q.To}, page: &productPage{Product: l.Product, UsageType: l.UsageType}}
	if r.q.Window == "" {
		return []stretch{whole}
	}
	var out []stretch
	at := r.q.From
	for _, st := range stretches {
		if st.month == nil {
			continue
		}
		if begin := r.q.Window.Start(st.From, r.q.Location); begin.Before(st.From) && st.From.After(r.q.From) {
			st.From = r.q.Window.Next(st.From, r.q.Location)
		}
		if st.To.Before(r.q.To) {
			st.To = r.q.Window.Start(st.To, r.q.Location)
		}
		if !st.From.Before(st.To) {
			continue
		}
		if at.Before(st.From) {
			whole.Period = meter.Period{From: at, To: st.From}
			out = append(out, whole)
		}
		out = append(out, st)
		at = st.To
	}
	if at.Before(r.q.To) {
		whole.Period = meter.Period{From: at, To: r.q.To}
		out = append(out, whole)
	}
	return out
}

// ungrouped says whether the question is one that a book's totals answer: those
// of a hidden product may have what names no product.
func (r *reportReader) ungrouped(l *reportLine) bool {
	return len(r.q.By) == 0 && r.q.Service == "" && !l.hidden
}

func (r *reportReader) readStretch(ctx context.Context, l *reportLine, st stretch) ([]meter.UsageRow, error) {
	if st.month == nil {
		return r.ask(ctx, l, st.page, st.Period, 0, r.q.Window)
	}
	within := r.q.Window == "" || !r.q.Window.Next(st.month.From, r.q.Location).Before(st.month.To)
	if part, ok := st.page.under(r.q.Contract); ok && st.inBook && r.ungrouped(l) && within && st.Period == st.month.Period {
		if part.Value == nil {
			return nil, nil
		}
		return []meter.UsageRow{{Start: st.From, End: st.To, Value: *part.Value}}, nil
	}
	return r.ask(ctx, l, st.page, st.Period, st.month.Sequence, r.q.Window)
}

// ask reads a line in a range, as the log stood at a sequence; 0 is the answer's own.
func (r *reportReader) ask(ctx context.Context, l *reportLine, page *productPage, in meter.Period, sequence uint64, window meter.Window) ([]meter.UsageRow, error) {
	if r.readsLeft--; r.readsLeft < 0 {
		return nil, meter.Errorf(meter.KindTooLarge, "the answer is made of too many figures (limit %d): name fewer customers, a product or a usage type", maxProductReads)
	}
	q := ProductQuery{Product: page.Product, UsageType: page.UsageType, Customers: []string{r.who}, From: in.From, To: in.To,
		Window: window, Location: r.q.Location, By: r.q.By, AsOfSequence: cmp.Or(sequence, r.now), named: l.hidden, most: r.rowsLeft}
	if q.AsOfSequence == 0 {
		q.AsOf = r.q.AsOf
	}
	if r.q.Service != "" {
		q.Filters = []meter.AttrFilter{{Attribute: serviceAttribute, Values: []string{r.q.Service}}}
	}
	if r.contract == nil {
		return r.service.ProductUsage(ctx, r.principal, q)
	}
	part, ok := page.under(r.contract.ID)
	if !ok {
		part.Scopes = customerScopes(r.view, r.contract, r.who, page.Product, in)
	}
	q.most = maxSampleRows
	return r.service.ContractUsage(ctx, r.principal, q, part.Scopes)
}

// add takes over a row of a stretch.
func (r *reportReader) add(l *reportLine, st stretch, row meter.UsageRow, additive bool) {
	out := ReportRow{UsageRow: row, Unit: st.page.UsageType.Unit, Billable: st.page.UsageType.Billable, Closed: st.month != nil}
	if additive {
		out.Start, out.End = r.window(row.Start)
		out.Closed = out.Closed && r.isClosed(out.Start, out.End)
	}
	if month := meter.Month(out.Start); !out.End.After(month.To) {
		out.Month = month.MonthName()
	}
	r.put(l, out, "")
}

// window is the part of the range's window that holds an instant.
func (r *reportReader) window(at time.Time) (from, to time.Time) {
	if r.q.Window == "" {
		return r.q.From, r.q.To
	}
	return latest(r.q.From, r.q.Window.Start(at, r.q.Location)), earliest(r.q.To, r.q.Window.Next(at, r.q.Location))
}

// isClosed says whether closed months hold all of a range.
func (r *reportReader) isClosed(from, to time.Time) bool {
	for _, m := range r.closed.Months(meter.Period{From: from, To: to}) {
		if m.From.After(from) {
			return false
		}
		from = m.To
	}
	return !from.Before(to)
}

// put adds a row to one of the same window, group and unit. late is the month
// of what came late.
func (r *reportReader) put(l *reportLine, row ReportRow, late string) {
	key := rowKey{row.Start.UnixNano(), meter.JoinPath(row.Group...), row.Unit, late, row.Billable}
	if have := l.rows[key]; have != nil {
		have.Value, have.Closed = have.Value.Add(row.Value), have.Closed && row.Closed
		return
	}
	if w := r.q.Window; w != "" {
		row.Clipped = !w.Start(row.Start, r.q.Location).Equal(row.Start) || !w.Next(row.Start, r.q.Location).Equal(row.End)
	}
	l.rows[key] = &row
}

// addLate adds what came late for a closed month and is shown in another: what
// would be read now, or could be when that was closed, less what has been billed.
func (r *reportReader) addLate(ctx context.Context, l *reportLine, in meter.Period, b booking) error {
	page, inBook, err := r.page(ctx, b.of, l)
	if err != nil {
		return err
	}
	if book := r.books[b.of.Name]; l.former && book.page(l.Product, l.UsageType.Name) == nil {
		return nil
	}
	if additive, ok := r.additive(page.UsageType); !ok || !additive || inBook && !page.Additive {
		return nil // nothing is restated, or its meter is gone
	}
	shown, closed := r.closed.Month(in)
	more := map[string]*meter.UsageRow{}
	add := func(rows []meter.UsageRow, sign int) {
		for _, row := range rows {
			key := meter.JoinPath(row.Group...)
			if more[key] == nil {
				more[key] = &meter.UsageRow{Group: row.Group}
			}
			if sign < 0 {
				row.Value = row.Value.Neg()
			}
			more[key].Value = more[key].Value.Add(row.Value)
		}
	}
	kept := false
	if closed && r.ungrouped(l) {
		of, ok, err := r.keptLate(ctx, l, shown, b.of.Name)
		if err != nil {
			return err
		}
		if kept = ok; kept {
			add([]meter.UsageRow{{Value: of}}, 1)
		}
	}
	if !kept {
		until := uint64(0)
		if closed {
			until = shown.Sequence
		}
		rows, err := r.ask(ctx, l, page, b.of.Period, until, "")
		if err != nil {
			return err
		}
		add(rows, 1)
		if rows, err = r.billed(ctx, l, page, inBook, b); err != nil {
			return err
		}
		add(rows, -1)
	}
	for _, key := range slices.Sorted(maps.Keys(more)) {
		row := ReportRow{UsageRow: *more[key], Unit: page.UsageType.Unit, Billable: page.UsageType.Billable, Month: b.of.Name, Late: true}
		if row.Value.IsZero() {
			continue
		}
		row.Start, row.End = r.window(in.From)
		row.Closed = closed && r.isClosed(row.Start, row.End) // another month of the window may show more
		r.put(l, row, b.of.Name)
	}
	return nil
}

// keptLate is what a closed month's book shows of another's late usage.
func (r *reportReader) keptLate(ctx context.Context, l *reportLine, shown ClosedMonth, of string) (v meter.Decimal, ok bool, err error) {
	b, err := r.book(ctx, shown)
	if err != nil || !b.inBook {
		return v, false, err
	}
	page := b.page(l.Product, l.UsageType.Name)
	if page == nil {
		return v, false, nil
	}
	part, ok := page.under(r.q.Contract)
	return part.of(of), ok, nil
}

// billed is what has been billed of a closed month before its late usage is shown.
func (r *reportReader) billed(ctx context.Context, l *reportLine, page *productPage, inBook bool, b booking) ([]meter.UsageRow, error) {
	part, ok := page.under(r.q.Contract)
	if !inBook || !ok || !r.ungrouped(l) {
		return r.ask(ctx, l, page, b.of.Period, b.since, "")
	}
	var v meter.Decimal
	if part.Value != nil {
		v = *part.Value
	}
	for _, m := range r.closed.months {
		if m.Sequence > b.since || !slices.ContainsFunc(r.booked.closed[m.Name], func(o booking) bool { return o.of.Name == b.of.Name }) {
			continue
		}
		more, ok, err := r.keptLate(ctx, l, m, b.of.Name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return r.ask(ctx, l, page, b.of.Period, b.since, "")
		}
		v = v.Add(more)
	}
	return []meter.UsageRow{{Value: v}}, nil
}

// take sorts a line's rows and counts them against the answer's bounds.
func (r *reportReader) take(l *reportLine) error {
	for _, row := range l.rows {
		for _, text := range row.Group {
			r.bytesLeft -= len(text)
		}
		l.Rows = append(l.Rows, *row)
	}
	if r.rowsLeft -= len(l.Rows); r.rowsLeft < 0 {
		return errManyRows()
	}
	if r.bytesLeft < 0 {
		return meter.Errorf(meter.KindTooLarge, "the texts of the answer's groups have more than %d bytes: ask for less", maxProductBytes)
	}
	slices.SortFunc(l.Rows, func(a, b ReportRow) int {
		return cmp.Or(a.Start.Compare(b.Start), slices.Compare(a.Group, b.Group), strings.Compare(a.late(), b.late()), strings.Compare(a.Unit, b.Unit))
	})
	l.rows = nil
	return nil
}

// late is the month of what came late, "" for other rows.
func (r ReportRow) late() string {
	if r.Late {
		return r.Month
	}
	return ""
}
