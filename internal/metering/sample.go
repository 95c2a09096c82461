package metering

import (
	"context"
	"fmt"
	"maps"
	"odometer/internal/access"
	"slices"
	"strings"

	"odometer/internal/ledger"
	"odometer/internal/meter"
)

// How many of the latest events are looked at, in whole blocks, and of how many
// bytes as stored.
const (
	previewEvents = 100_000
	previewBytes  = 32 << 20
	hintEvents    = 10_000
	hintBytes     = 4 << 20
)

// PreviewMeter says what a meter makes of the latest events, whether it is
// there or not.
func (s *Service) PreviewMeter(ctx context.Context, p access.Principal, m meter.Meter) (*meter.Sample, []string, error) {
	if err := p.May(access.ActionManage); err != nil {
		return nil, nil, err
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	defer turn.Done()
	sample, err := s.ledger.Sample(ctx, ledger.SampleQuery{Organization: p.Organization, Meter: m, MostEvents: previewEvents, MostBytes: previewBytes})
	if err != nil {
		return nil, nil, turn.Because(ctx, err)
	}
	return sample, hintsOf(m, sample, nil), nil
}

// UsageHints says what may be wrong with a question whose answer has nothing,
// or nothing but empty groups: a name or a value that none of the latest events
// has. It is empty for other answers, which it costs nothing, and where it
// cannot be said. A bound key hears of its customer's events only.
func (s *Service) UsageHints(ctx context.Context, p access.Principal, q meter.UsageQuery, u *meter.Usage) []string {
	if q.Cursor != "" || u.NextCursor != "" || !suspicious(q.GroupBy, u.Rows) {
		return nil
	}
	var filters []meter.AttrFilter
	for _, f := range q.Filters {
		if f.Attribute != meter.CustomerAttribute {
			filters = append(filters, f)
		}
	}
	return s.hints(ctx, p, q.Meter, ledger.SampleQuery{Customer: p.Bound(), Attributes: q.GroupBy, Filters: filters}, &q.GroupBy)
}

// maxHintedMeters is how many meters of a report are looked into.
const maxHintedMeters = 3

// ReportHints is UsageHints of a report.
func (s *Service) ReportHints(ctx context.Context, p access.Principal, q ReportQuery, lines []ReportLine) []string {
	var rows []meter.UsageRow
	var meters []string
	for _, l := range lines {
		for _, r := range l.Rows {
			rows = append(rows, r.UsageRow)
		}
		if !slices.Contains(meters, l.UsageType.Meter) {
			meters = append(meters, l.UsageType.Meter)
		}
	}
	if len(lines) == 0 || !suspicious(q.By, rows) {
		return nil
	}
	ask := ledger.SampleQuery{Customer: p.Bound(), Attributes: q.By}
	if q.Service != "" {
		ask.Filters = []meter.AttrFilter{{Attribute: serviceAttribute, Values: []string{q.Service}}}
	}
	var out []string
	for _, key := range meters[:min(len(meters), maxHintedMeters)] {
		for _, hint := range s.hints(ctx, p, key, ask, &q.By) {
			if !slices.Contains(out, hint) {
				out = append(out, hint)
			}
		}
	}
	return out
}

// hints looks at a sample for a meter; nil if that cannot be had.
func (s *Service) hints(ctx context.Context, p access.Principal, key string, q ledger.SampleQuery, groups *[]string) []string {
	m, ok := s.ledger.Meter(p.Organization, key)
	if !ok || p.May(access.ActionRead) != nil {
		return nil
	}
	ctx, turn, err := s.turn(ctx, p)
	if err != nil {
		return nil
	}
	defer turn.Done()
	q.Organization, q.Meter, q.MostEvents, q.MostBytes = p.Organization, m.Meter, hintEvents, hintBytes
	sample, err := s.ledger.Sample(ctx, q)
	if err != nil {
		return nil
	}
	return hintsOf(m.Meter, sample, groups)
}

// suspicious says whether rows have nothing, or a group that is empty in all of them.
func suspicious(by []string, rows []meter.UsageRow) bool {
	if !slices.ContainsFunc(rows, func(r meter.UsageRow) bool { return !r.Value.IsZero() }) {
		return true
	}
	for i := range by {
		if !slices.ContainsFunc(rows, func(r meter.UsageRow) bool { return r.Group[i] != "" }) {
			return true
		}
	}
	return false
}

// hintsOf says in words what a sample shows. by is what a question groups by,
// nil for the meter's own groups.
func hintsOf(m meter.Meter, s *meter.Sample, by *[]string) []string {
	if s.Events == 0 {
		return []string{"there are no events yet"}
	}
	latest := fmt.Sprintf("of the latest %d events", s.Events)
	if s.OfType == 0 {
		return []string{fmt.Sprintf("none %s has the type %q; they have %s", latest, m.EventType, quoted(slices.Sorted(maps.Keys(s.Types))))}
	}
	of := fmt.Sprintf("of the latest %d events of type %q", s.OfType, m.EventType)
	have := "they have the attributes " + quoted(s.Names)
	if len(s.Names) == 0 {
		have = "they have no attributes"
	}
	var hints []string
	if s.LeftOut == s.OfType {
		hints = append(hints, "the meter's filters leave out all "+of+"; "+have)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Skipped)) {
		hints = append(hints, fmt.Sprintf("%d %s are skipped: %s; %s", s.Skipped[reason], of, reason, have))
	}
	groups := m.GroupBy
	if by != nil {
		groups = *by
	}
	for _, name := range groups {
		if s.Present[name] == 0 {
			hints = append(hints, fmt.Sprintf("none %s has the attribute %q to group by; %s", of, name, have))
		}
	}
	for _, f := range s.Unmet {
		switch known := s.Known[f.Attribute]; {
		case s.Present[f.Attribute] == 0:
			hints = append(hints, fmt.Sprintf("none %s has the attribute %q to filter by; %s", of, f.Attribute, have))
		case len(known) == 0:
			hints = append(hints, fmt.Sprintf("none %s has %s in %q", of, quoted(f.Values), f.Attribute))
		default:
			hints = append(hints, fmt.Sprintf("none %s has %s in %q; there are %s", of, quoted(f.Values), f.Attribute, quoted(known)))
		}
	}
	return hints
}

// maxQuoted is how many texts a hint names.
const maxQuoted = 20

func quoted(texts []string) string {
	var out []string
	for i, t := range texts {
		if i == maxQuoted {
			out = append(out, fmt.Sprintf("%d more", len(texts)-i))
			break
		}
		out = append(out, fmt.Sprintf("%.64q", t))
	}
	return strings.Join(out, ", ")
}

// SkipReason says why a meter skips events; "" if it cannot.
func SkipReason(m meter.Meter) string {
	var why []string
	if m.Value != "" {
		what := "absent, not a number or beyond the limits"
		if m.Aggregation == meter.AggUniqueCount {
			what = "absent or no text or number"
		}
		why = append(why, "attribute "+m.Value+" is "+what)
	}
	if len(m.GroupBy) > 0 || m.Aggregation == meter.AggUniqueCount {
		why = append(why, fmt.Sprintf("a text to group by or to tell apart is longer than %d bytes", meter.MaxGroupBytes))
	}
	return strings.Join(why, ", or ")
}
