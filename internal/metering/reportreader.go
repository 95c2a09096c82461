package metering

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// reportReader makes a ProductReport, one customer after the other.
type reportReader struct {
	service   *Service
	usage     UsageReader
	principal access.Principal
	view      *catalog.View
	q         ReportQuery
	now       uint64 // the log sequence that open months are read at; 0 = now, or q.AsOf
	closing   bool   // a figure that cannot be put together is left out

	rowsLeft, readsLeft, bytesLeft int

	who      string // the customer
	contract *catalog.Contract
	closed   Closed
	booked   books.Bookings
	kept     map[string]*keptBook // the books read so far, by closed month
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
	r.who, r.closed, r.booked, r.kept = closed.customer, closed, closed.Bookings(), map[string]*keptBook{}
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
	months := r.closed.In(r.asked())
	for _, k := range r.closed.Begun(r.asked()) {
		for _, b := range r.bookedTo(k) {
			months = append(months, b.Of)
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

// asked is the range that is asked for.
func (r *reportReader) asked() meter.Period { return meter.Period{From: r.q.From, To: r.q.To} }

// bookedTo are the closed months whose late usage a month shows, where there
// may be any.
func (r *reportReader) bookedTo(in meter.Period) []books.Booking {
	return slices.DeleteFunc(r.booked.In(in), func(b books.Booking) bool {
		return r.service.ledger.Reached(r.principal.Organization, b.Of.From, b.Of.To) <= b.Since
	})
}

func (r *reportReader) book(ctx context.Context, m books.Month) (*keptBook, error) {
	if b := r.kept[m.Name]; b != nil {
		return b, nil
	}
	b, err := r.closed.productBook(ctx, m)
	r.kept[m.Name] = b
	return b, err
}

// page is what a closed month's book has of a line; inBook is false if that is
// no more than how it was read. A line that the book has not is read as it is
// now, as the log stood then.
func (r *reportReader) page(ctx context.Context, m books.Month, l *reportLine) (p *productPage, inBook bool, err error) {
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
	month    *books.Month // nil = open
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
	for _, k := range r.closed.Begun(r.asked()) {
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
	for _, p := range r.closed.Cut(r.asked()) {
		st := stretch{Period: p.Period, month: p.Closed, page: open}
		if p.Closed != nil {
			if st.page, st.inBook, err = r.page(ctx, *p.Closed, l); err != nil {
				return nil, false, err
			}
			if b := r.kept[p.Closed.Name]; l.former && b.page(l.Product, l.UsageType.Name) == nil {
				continue
			}
		}
		add(st)
	}
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
		return r.usage.ProductUsage(ctx, r.principal, q)
	}
	part, ok := page.under(r.contract.ID)
	if !ok {
		part.Scopes = customerScopes(r.view, r.contract, r.who, page.Product, in)
	}
	q.most = maxSampleRows
	return r.usage.ContractUsage(ctx, r.principal, q, part.Scopes)
}

// add takes over a row of a stretch.
func (r *reportReader) add(l *reportLine, st stretch, row meter.UsageRow, additive bool) {
	out := ReportRow{UsageRow: row, Unit: st.page.UsageType.Unit, Billable: st.page.UsageType.Billable, Closed: st.month != nil}
	if additive {
		out.Start, out.End = r.window(row.Start)
		out.Closed = out.Closed && r.closed.Hold(meter.Period{From: out.Start, To: out.End})
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

// addLate adds what came late for a closed month and is shown in another.
func (r *reportReader) addLate(ctx context.Context, l *reportLine, in meter.Period, b books.Booking) error {
	page, inBook, err := r.page(ctx, b.Of, l)
	if err != nil {
		return err
	}
	if book := r.kept[b.Of.Name]; l.former && book.page(l.Product, l.UsageType.Name) == nil {
		return nil
	}
	if additive, ok := r.additive(page.UsageType); !ok || !additive || inBook && !page.Additive {
		return nil // nothing is restated, or its meter is gone
	}
	late, groups, err := r.late(ctx, l, in, b, page, inBook)
	if err != nil {
		return err
	}
	_, closed := r.closed.Month(in)
	for _, key := range slices.Sorted(maps.Keys(late)) {
		row := ReportRow{UsageRow: meter.UsageRow{Group: groups[key], Value: late[key]}, Unit: page.UsageType.Unit, Billable: page.UsageType.Billable, Month: b.Of.Name, Late: true}
		row.Start, row.End = r.window(in.From)
		row.Closed = closed && r.closed.Hold(meter.Period{From: row.Start, To: row.End}) // another month of the window may show more
		r.put(l, row, b.Of.Name)
	}
	return nil
}

// groupsOf are the groups of rows by the names of their figures.
type groupsOf map[string][]string

// figures are the rows' values by group.
func (g groupsOf) figures(rows []meter.UsageRow) books.Figures[string] {
	out := books.Figures[string]{}
	for _, row := range rows {
		key := meter.JoinPath(row.Group...)
		g[key] = row.Group
		out.Add(key, row.Value)
	}
	return out
}

// late is what a month shows of what came late for a closed one, by group: what
// its book has or, where that says nothing, what would be read now, or could be
// when it was closed, less what has been billed by then.
func (r *reportReader) late(ctx context.Context, l *reportLine, in meter.Period, b books.Booking, page *productPage, inBook bool) (late books.Figures[string], groups groupsOf, err error) {
	groups = groupsOf{}
	shown, closed := r.closed.Month(in)
	if closed && r.ungrouped(l) {
		if kept, ok, err := r.keptPage(ctx, l, shown); err != nil || ok {
			return books.Late("", kept[b.Of.Name], nil), groups, err
		}
	}
	until := uint64(0)
	if closed {
		until = shown.Sequence
	}
	rows, err := r.ask(ctx, l, page, b.Of.Period, until, "")
	if err != nil {
		return nil, nil, err
	}
	now := groups.figures(rows)
	own, since, ok, err := r.billed(ctx, l, page, inBook, b)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		if rows, err = r.ask(ctx, l, page, b.Of.Period, b.Since, ""); err != nil {
			return nil, nil, err
		}
		own = books.Page[string]{"": groups.figures(rows)}
	}
	return books.Late(b.Of.Name, now, own, since...), groups, nil
}

// keptPage is what a closed month's book has of a line.
func (r *reportReader) keptPage(ctx context.Context, l *reportLine, m books.Month) (figures books.Page[string], ok bool, err error) {
	b, err := r.book(ctx, m)
	if err != nil || !b.inBook {
		return nil, false, err
	}
	page := b.page(l.Product, l.UsageType.Name)
	if page == nil {
		return nil, false, nil
	}
	part, ok := page.under(r.q.Contract)
	return part.figures(), ok, nil
}

// billed are the pages of the books that have billed a closed month before its
// late usage is shown; false if one of them does not have the figure.
func (r *reportReader) billed(ctx context.Context, l *reportLine, page *productPage, inBook bool, b books.Booking) (own books.Page[string], since []books.Page[string], ok bool, err error) {
	part, ok := page.under(r.q.Contract)
	if !inBook || !ok || !r.ungrouped(l) {
		return nil, nil, false, nil
	}
	for _, m := range r.booked.Before(b) {
		kept, ok, err := r.keptPage(ctx, l, m)
		if err != nil || !ok {
			return nil, nil, false, err
		}
		since = append(since, kept)
	}
	return part.figures(), since, true, nil
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
