package fastly

import (
	"context"
	"maps"
	"slices"

	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

// book is what is kept of a customer's closed month.
type book struct {
	Lines []bookLine `json:"lines"`
}

// bookLine is what is billed of a usage type of a product, and how it was read,
// so that what comes late is read in the same way.
type bookLine struct {
	Product   string            `json:"product"`
	UsageType catalog.UsageType `json:"usage_type"`
	Totals    []total           `json:"totals"` // the month's, then what came late for months before
	Services  []bookService     `json:"services,omitempty"`
	Others    []bookService     `json:"others,omitempty"` // services that were not the customer's then
}

// total is the usage of all services, known or not.
type total struct {
	Late  string        `json:"late,omitempty"` // the closed month of which this came late; "" = the month's own
	Raw   meter.Decimal `json:"raw"`            // before scaling
	Units meter.Decimal `json:"units"`
}

// bookService is the usage of one service.
type bookService struct {
	ID    string         `json:"id"`
	Late  string         `json:"late,omitempty"` // as in total
	Units meter.Decimal  `json:"units"`
	Held  []meter.Period `json:"held,omitempty"` // when it was the customer's, if not all the month
}

// keeper keeps the surface's books.
type keeper struct{ service *metering.Service }

// Book keeps what the surface says of closed months.
func Book(s *metering.Service) metering.Book { return keeper{s} }

func (k keeper) Surface() string { return surfaceName }

// Figures returns the month's book: every line by service, and the totals.
func (k keeper) Figures(ctx context.Context, c metering.Closing) (any, error) {
	a, err := newAccount(ctx, &account{service: k.service, reads: c.Usage, asks: c.Asks, view: c.View, customer: c.Customer, closed: c.Before, sequence: c.Month.Sequence})
	if err != nil {
		return nil, err
	}
	b := book{Lines: []bookLine{}}
	for _, l := range a.lines {
		of, err := a.read(ctx, l, c.Month.Period, c.Month.Sequence)
		if err != nil {
			return nil, err
		}
		late, err := a.late(ctx, l, c.Month.Period)
		if err != nil {
			return nil, err
		}
		for _, u := range late {
			of.Services = append(of.Services, bookService{ID: u.service, Late: u.late, Units: u.units})
		}
		totals, err := a.lateTotals(ctx, l, c.Month.Period)
		if err != nil {
			return nil, err
		}
		of.Totals = append(of.Totals, totals...)
		b.Lines = append(b.Lines, of)
	}
	return b, nil
}

// read reads a line of a month's book as of a log sequence.
func (c *account) read(ctx context.Context, l line, in meter.Period, sequence uint64) (bookLine, error) {
	b := bookLine{Product: l.product, UsageType: l.usageType}
	rows, err := c.usage(ctx, l, in, sequence, nil, serviceAttribute)
	if err != nil {
		return b, err
	}
	held := c.held(in)
	for _, r := range rows {
		s := bookService{ID: r.Group[0], Units: r.Value}
		parts := held[s.ID]
		if len(parts) == 0 {
			b.Others = append(b.Others, s)
			continue
		}
		if len(parts) > 1 || parts[0] != in {
			s.Held = parts
			if s.Units, err = c.parts(ctx, l, s.ID, parts, sequence); err != nil {
				return b, err
			}
		}
		b.Services = append(b.Services, s)
	}
	own, err := c.total(ctx, l, in, sequence)
	b.Totals = []total{own}
	return b, err
}

// byService are the services' figures of a page, those of others too.
func (b *bookLine) byService() books.Page[string] {
	out := books.Page[string]{}
	for _, s := range slices.Concat(b.Others, b.Services) {
		out.Add(s.Late, s.ID, s.Units)
	}
	return out
}

// measure is how a total counts.
type measure int

const (
	rawUnits measure = iota
	scaledUnits
)

// inTotal are the figures of a page for all services together.
func (b *bookLine) inTotal() books.Page[measure] {
	out := books.Page[measure]{}
	for _, t := range b.Totals {
		out.Add(t.Late, rawUnits, t.Raw)
		out.Add(t.Late, scaledUnits, t.Units)
	}
	return out
}

// total reads the usage of all services in a range.
func (c *account) total(ctx context.Context, l line, in meter.Period, sequence uint64) (total, error) {
	unscaled := l
	unscaled.usageType.Scale = ""
	raw, err := c.amount(ctx, unscaled, in, sequence)
	t := total{Raw: raw, Units: raw}
	if err == nil && l.usageType.Scale != "" && !raw.IsZero() {
		t.Units, err = c.amount(ctx, l, in, sequence)
	}
	return t, err
}

// billed is the line in a closed month's book; one that came into the catalog
// later is read as of the closing.
func (c *account) billed(ctx context.Context, l line, m books.Month) (bookLine, error) {
	b, found, err := c.page(ctx, l, m)
	if err != nil || found {
		return b, err
	}
	return c.read(ctx, l, m.Period, m.Sequence)
}

// page finds the line in a closed month's book.
func (c *account) page(ctx context.Context, l line, m books.Month) (bookLine, bool, error) {
	b, err := c.book(ctx, m)
	if err != nil {
		return bookLine{}, false, err
	}
	for _, of := range b.Lines {
		if of.Product == l.product && of.UsageType.Name == l.usageType.Name {
			return of, true, nil
		}
	}
	return bookLine{}, false, nil
}

// book reads a closed month's book, once for each request.
func (c *account) book(ctx context.Context, m books.Month) (*book, error) {
	if b := c.pages[m.Name]; b != nil {
		return b, nil
	}
	b := &book{}
	if _, err := c.closed.Figures(ctx, m, surfaceName, b); err != nil {
		return nil, err
	}
	if c.pages == nil {
		c.pages = map[string]*book{}
	}
	c.pages[m.Name] = b
	return b, nil
}

// addFormer adds the lines that books of closed months in a range have and the
// catalog has no more, and those of months with late usage that is booked to
// an open one in the range: what was billed stays, and what came late is billed.
func (c *account) addFormer(ctx context.Context, in meter.Period) error {
	months := c.closed.In(in)
	for open := meter.Month(in.From); open.From.Before(in.To); open = meter.Month(open.To) {
		for _, due := range c.closed.DueIn(open) {
			months = append(months, due.Month)
		}
	}
	for _, m := range months {
		b, err := c.book(ctx, m)
		if err != nil {
			return err
		}
		for _, of := range b.Lines {
			same := func(l line) bool { return l.product == of.Product && l.usageType.Name == of.UsageType.Name }
			if !slices.ContainsFunc(c.lines, same) {
				l, _ := c.line(of.Product, of.UsageType)
				l.former = true
				c.lines = append(c.lines, l)
			}
		}
	}
	c.sortLines()
	return nil
}

// byService returns a line's usage in a range by service. Closed months say
// what their books have; where figures of parts do not add up, a range of
// several parts is read anew. With late, months also show what is booked to
// them of closed months before.
func (c *account) byService(ctx context.Context, l line, in meter.Period, late bool) ([]serviceUsage, error) {
	pieces := c.closed.Cut(in)
	if len(pieces) > 1 && !l.additive && !l.former {
		pieces = []books.Piece{{Period: in}}
	}
	sums := map[serviceUsage]meter.Decimal{} // by service and month, without units
	for _, p := range pieces {
		usage, err := c.ofPiece(ctx, l, p)
		if err != nil {
			return nil, err
		}
		for open := meter.Month(p.From); late && p.Closed == nil && open.From.Before(p.To); open = meter.Month(open.To) {
			more, err := c.late(ctx, l, open)
			if err != nil {
				return nil, err
			}
			usage = append(usage, more...)
		}
		for _, u := range usage {
			if u.late == "" || late {
				key := serviceUsage{service: u.service, late: u.late}
				sums[key] = sums[key].Add(u.units)
			}
		}
	}
	out := make([]serviceUsage, 0, len(sums))
	for u, units := range sums {
		u.units = units
		out = append(out, u)
	}
	return out, nil
}

// ofPiece reads one piece.
func (c *account) ofPiece(ctx context.Context, l line, p books.Piece) ([]serviceUsage, error) {
	if p.Closed == nil {
		if l.former {
			return nil, nil
		}
		return c.heldUsage(ctx, l, p.Period, c.sequence)
	}
	b, found, err := c.page(ctx, l, *p.Closed)
	if err != nil {
		return nil, err
	}
	if !found && l.former {
		return nil, nil
	}
	if !found || !p.Whole() {
		if found {
			l.usageType = b.UsageType
		}
		return c.heldUsage(ctx, l, p.Period, p.Closed.Sequence)
	}
	var out []serviceUsage
	for _, s := range b.Services {
		out = append(out, serviceUsage{s.ID, s.Late, s.Units})
	}
	return out, nil
}

// late returns, by service, what came for closed months after they were closed
// and is booked to an open month.
func (c *account) late(ctx context.Context, l line, open meter.Period) ([]serviceUsage, error) {
	var out []serviceUsage
	err := c.eachLate(ctx, l, open, func(l line, m books.Month, b bookLine, booked []bookLine) error {
		rows, err := c.usage(ctx, l, m.Period, c.sequence, nil, serviceAttribute)
		if err != nil {
			return err
		}
		now, page := books.Figures[string]{}, b.byService()
		for _, r := range rows {
			now.Add(r.Group[0], r.Value)
		}
		for _, s := range b.Others {
			now.Add(s.ID, meter.Decimal{})
		}
		held := maps.Clone(c.held(m.Period))
		if err := c.lateOfParts(ctx, l, m, b, held, now, page.Own()); err != nil {
			return err
		}
		for _, s := range b.Services {
			if s.Late != "" {
				continue
			}
			held[s.ID] = append(slices.Clip(held[s.ID]), m.Period)
			if s.Held != nil {
				if now[s.ID], err = c.parts(ctx, l, s.ID, s.Held, c.sequence); err != nil {
					return err
				}
			}
		}
		var since []books.Page[string]
		for _, later := range booked {
			since = append(since, later.byService())
		}
		late := books.Late(m.Name, now, page, since...)
		for _, id := range slices.Sorted(maps.Keys(late)) {
			if len(held[id]) > 0 {
				out = append(out, serviceUsage{id, m.Name, late[id]})
			}
		}
		return nil
	})
	return out, err
}

// lateOfParts reads the services that are the customer's for a part of the
// closed month and that its book does not show: as now, and as the log stood
// when it was closed.
func (c *account) lateOfParts(ctx context.Context, l line, m books.Month, b bookLine, held map[string][]meter.Period, now, then books.Figures[string]) error {
	for id := range now {
		parts := held[id]
		if len(parts) == 0 || len(parts) == 1 && parts[0] == m.Period ||
			slices.ContainsFunc(b.Services, func(s bookService) bool { return s.ID == id && s.Late == "" }) {
			continue
		}
		var err error
		if now[id], err = c.parts(ctx, l, id, parts, c.sequence); err != nil {
			return err
		}
		if then[id], err = c.parts(ctx, l, id, parts, m.Sequence); err != nil {
			return err
		}
	}
	return nil
}

// eachLate visits the closed months that something may have come late for and
// that are booked to an open one, each with the line as it was read then, its
// page, and those of the months to which its late usage was booked before.
func (c *account) eachLate(ctx context.Context, l line, open meter.Period, visit func(l line, m books.Month, b bookLine, booked []bookLine) error) error {
	if !l.additive {
		return nil
	}
	for _, due := range c.closed.DueIn(open) {
		b, err := c.billed(ctx, l, due.Month)
		if err != nil {
			return err
		}
		if then, ok := c.line(b.Product, b.UsageType); !ok || !then.additive {
			continue
		}
		var booked []bookLine
		for _, later := range due.Between {
			of, _, err := c.page(ctx, l, later)
			if err != nil {
				return err
			}
			booked = append(booked, of)
		}
		read := l
		read.usageType = b.UsageType
		if err := visit(read, due.Month, b, booked); err != nil {
			return err
		}
	}
	return nil
}

// lateTotals is late for all services together.
func (c *account) lateTotals(ctx context.Context, l line, open meter.Period) ([]total, error) {
	var out []total
	err := c.eachLate(ctx, l, open, func(l line, m books.Month, b bookLine, booked []bookLine) error {
		own, err := c.total(ctx, l, m.Period, c.sequence)
		if err != nil {
			return err
		}
		now := bookLine{Totals: []total{own}}
		var since []books.Page[measure]
		for _, later := range booked {
			since = append(since, later.inTotal())
		}
		late := books.Late(m.Name, now.inTotal().Own(), b.inTotal(), since...)
		if more := (total{m.Name, late[rawUnits], late[scaledUnits]}); !more.Raw.IsZero() {
			out = append(out, more)
		}
		return nil
	})
	return out, err
}

// totals are a line's in a calendar month: its own, and what is booked to it.
// The line is returned as the figures were read.
func (c *account) totals(ctx context.Context, l line, in meter.Period) ([]total, line, error) {
	month := meter.Month(in.From)
	if m, closed := c.closed.Month(month); closed {
		b, found, err := c.page(ctx, l, m)
		if err == nil && !found && !l.former {
			b, err = c.billed(ctx, l, m)
		}
		l.usageType = b.UsageType
		return b.Totals, l, err
	}
	var own total
	var err error
	if !l.former {
		own, err = c.total(ctx, l, in, c.sequence)
	}
	if err != nil || in.From.Equal(in.To) { // a month to come
		return []total{own}, l, err
	}
	late, err := c.lateTotals(ctx, l, month)
	return append([]total{own}, late...), l, err
}
