package marketplace

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// reading is usage of a meter that is new since it was read last.
type reading struct {
	dimension string
	hour      time.Time // that it belongs to
	late      bool      // of hours before
	period    string    // month
	through   time.Time
	value     meter.Decimal
	had       billing.MeterRead // as it was when this was computed
	sequence  uint64
}

// current says whether nobody has read the meter since.
func (m reading) current(reads map[string]billing.MeterRead) bool {
	now := reads[m.dimension+"/"+m.period]
	return now.Through.Equal(m.had.Through) && now.Value.Cmp(m.had.Value) == 0
}

// sequenceOf is the log sequence as of which meters were read, 0 for none.
func sequenceOf(reads []reading) uint64 {
	var last uint64
	for _, m := range reads {
		last = max(last, m.sequence)
	}
	return last
}

// fed is a dimension that is read from a meter.
type fed struct {
	entitlement *catalog.Entitlement
	dimension   *catalog.Dimension
}

// readMeters finds what meters have counted and no report has billed: for
// each entitlement with such dimensions the hours that have closed since it
// was read last, and what came late for the months before. What was read of a
// month is kept as one sum, so that whatever arrives or is voided later is
// the difference to it.
func (p *pass) readMeters(ctx context.Context) error {
	since := monthOf(p.through).AddDate(0, -1, 0)
	if p.through.Hour() == 0 {
		since = monthOf(p.through).AddDate(0, -monthsRead, 0)
	}
	entitlements := p.view.PastEntitlements(since)
	for i := range p.view.Entitlements() {
		entitlements = append(entitlements, &p.view.Entitlements()[i])
	}
	var all []fed
	for _, e := range entitlements {
		for j := range e.Dimensions {
			if e.Dimensions[j].Meter != "" && accountOf(e) != "" {
				all = append(all, fed{e, &e.Dimensions[j]})
			}
		}
	}
	sums := newMonthSums(p)
	var failed []error
	for _, f := range all {
		reads, err := p.r.frozen.MeterReads(ctx, p.organization, f.entitlement.ID)
		if err != nil {
			return err
		}
		readings, err := p.readOne(ctx, f, reads, sums)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil { // it keeps no other
			failed = append(failed, meter.WrapError(meter.KindOf(err), err, "dimension %q of entitlement %.64q cannot be read from its meter", f.dimension.Key, f.entitlement.ID))
			continue
		}
		p.metered[f.entitlement.ID] = append(p.metered[f.entitlement.ID], readings...)
		if len(p.metered[f.entitlement.ID]) == 0 {
			delete(p.metered, f.entitlement.ID)
		}
	}
	return errors.Join(failed...)
}

// readOne returns what is new of one dimension: what came late for hours that
// were read, or was moved out of the report that held it, as one reading of the
// last of them, and then hour by hour. Of a meter that does not add up over
// hours it is the figures of the hours that are added up.
func (p *pass) readOne(ctx context.Context, f fed, reads map[string]billing.MeterRead, sums *monthSums) ([]reading, error) {
	var out []reading
	start := f.entitlement.Starts.Time
	if oldest := monthOf(p.through).AddDate(0, -monthsRead, 0); start.Before(oldest) {
		start = oldest
	}
	for month := monthOf(start); month.Before(p.through); month = month.AddDate(0, 1, 0) {
		next := month.AddDate(0, 1, 0)
		from, to := latest(month, start), earliest(next, p.through)
		if ends := f.entitlement.Ends.Time; !ends.IsZero() {
			to = earliest(to, ends)
		}
		had := reads[f.dimension.Key+"/"+month.Format("2006-01")]
		old := !had.Through.Before(next) && next.Before(monthOf(p.through))
		if !to.After(from) || old && p.through.Hour() != 0 {
			continue // what is late for older months is looked for once a day
		}
		if next.Before(monthOf(p.through)) && p.through.Hour() != 0 && !sums.additive(f, from, to) {
			continue // and also what was never read, where each hour has to be asked for
		}
		one := reading{dimension: f.dimension.Key, period: month.Format("2006-01"), had: had}
		// Hours that may be open are read one by one, what lies before in one sum.
		hour := earliest(to, latest(latest(had.Through, from.Truncate(time.Hour)), p.through.Add(-openLookback)))
		if hour.After(from) {
			total, sequence, err := sums.of(ctx, f, from, hour)
			if err != nil {
				return nil, err
			}
			last := hour.Add(-1).Truncate(time.Hour)
			one.hour, one.late, one.through, one.value, one.sequence = last, true, hour, total.Sub(had.Value), sequence
			if !one.value.IsZero() {
				out = append(out, one)
			}
		}
		for ; hour.Before(to); hour = hour.Add(time.Hour) {
			value, sequence, err := sums.of(ctx, f, latest(hour, from), earliest(hour.Add(time.Hour), to))
			if err != nil {
				return nil, err
			}
			one.hour, one.late, one.through, one.value, one.sequence = hour, false, hour.Add(time.Hour), value, sequence
			if !value.IsZero() {
				out = append(out, one)
			}
		}
	}
	return out, nil
}

func monthOf(t time.Time) time.Time {
	return time.Date(t.UTC().Year(), t.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// monthSums asks meters for sums, each question once for all entitlements.
type monthSums struct {
	pass  *pass
	known map[string]*groupedSums
}

type groupedSums struct {
	rows     []meter.UsageRow
	sequence uint64
}

func newMonthSums(p *pass) *monthSums { return &monthSums{pass: p, known: map[string]*groupedSums{}} }

// attributes that say whose usage an event is.
var attributes = []string{meter.CustomerAttribute, "product", "entitlement"}

// adds says whether the usage of hours adds up to that of all of them.
func (s *monthSums) adds(key string) bool {
	m, ok := s.pass.r.o.Usage.MeterOf(s.pass.organization, key)
	return ok && (m.Aggregation == meter.AggCount || m.Aggregation == meter.AggSum)
}

// additive says whether the dimension's usage of the hours of [from, to) adds up.
func (s *monthSums) additive(f fed, from, to time.Time) bool {
	for _, part := range s.pass.parts(f, from, to) {
		if !s.adds(part.dimension.Meter) {
			return false
		}
	}
	return true
}

// fedIn is a dimension as its entitlement said that it is read in a range.
type fedIn struct {
	fed
	from, to time.Time
}

// parts cuts [from, to) where the entitlement was changed. An hour is read as
// was said at its start; those in which no meter was named are left out.
func (p *pass) parts(f fed, from, to time.Time) []fedIn {
	nextHour := func(t time.Time) time.Time { return t.Add(time.Hour - 1).Truncate(time.Hour) }
	var out []fedIn
	for _, h := range p.view.EntitlementsIn(f.entitlement.ID, from, to) {
		d, ok := h.Noun.Dimension(f.dimension.Key)
		part := fedIn{fed{&h.Noun, d}, from, to}
		if h.From.After(from) {
			part.from = nextHour(h.From)
		}
		if h.To.Before(to) {
			part.to = earliest(to, nextHour(h.To))
		}
		if ok && d.Meter != "" && part.from.Before(part.to) {
			out = append(out, part)
		}
	}
	return out
}

// of is the dimension's usage in [from, to), times its scale.
func (s *monthSums) of(ctx context.Context, f fed, from, to time.Time) (total meter.Decimal, sequence uint64, err error) {
	for _, part := range s.pass.parts(f, from, to) {
		value, as, err := s.part(ctx, part.fed, part.from, part.to)
		if err != nil {
			return total, 0, err
		}
		total, sequence = total.Add(value), max(sequence, as)
	}
	return total, sequence, nil
}

// part is the usage in a range in which the entitlement was not changed. Usage
// is an entitlement's if it is its customer's, names its product or none, and
// names the entitlement or none.
func (s *monthSums) part(ctx context.Context, f fed, from, to time.Time) (meter.Decimal, uint64, error) {
	q := meter.UsageQuery{Meter: f.dimension.Meter, From: from, To: to, GroupBy: attributes}
	key := []string{f.dimension.Meter, from.String(), to.String()}
	if !s.adds(f.dimension.Meter) { // neither groups nor hours add up: the entitlement's usage is asked for alone, hour by hour
		q.GroupBy, q.Window = nil, meter.WindowHour
		for i, names := range [][]string{{f.entitlement.Customer}, {"", f.entitlement.Product}, {"", f.entitlement.ID}} {
			q.Filters = append(q.Filters, meter.AttrFilter{Attribute: attributes[i], Values: names})
			key = append(key, names...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.dimension.Where)) {
		key = append(key, name, f.dimension.Where[name])
		q.Filters = append(q.Filters, meter.AttrFilter{Attribute: name, Values: []string{f.dimension.Where[name]}})
	}
	known := s.known[strings.Join(key, "\xff")]
	if known == nil {
		known = &groupedSums{}
		who := reader(s.pass.organization)
		// In one view: pages while usage comes in would be of several places in the log.
		q.All = true
		u, err := s.pass.r.o.Usage.Usage(ctx, who, q)
		if err != nil {
			return meter.Decimal{}, 0, err
		}
		known.rows, known.sequence = u.Rows, u.Sequence
		s.known[strings.Join(key, "\xff")] = known
	}
	total := meter.Decimal{}
	for _, row := range known.rows {
		if q.GroupBy == nil {
			total = total.Add(row.Value)
			continue
		}
		if row.Group[0] == f.entitlement.Customer && (row.Group[1] == "" || row.Group[1] == f.entitlement.Product) && (row.Group[2] == "" || row.Group[2] == f.entitlement.ID) {
			total = total.Add(row.Value)
		}
	}
	return total.Mul(f.dimension.ScaleDecimal()), known.sequence, nil
}
