package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"odometer/internal/meter"
)

// check asks the ledger something and holds the answer against the model.
func (s *sim) check() {
	s.t.Helper()
	if got := s.l.Stats().Last; got != s.seq {
		s.fatalf("the log ends at %d, want %d", got, s.seq)
	}
	for range 3 {
		o := s.model.org(pick(s.r, simOrgs...))
		if len(o.meters) > 0 {
			m := &o.meters[s.r.IntN(len(o.meters))]
			s.ask(o, m, randomQuestion(s.r, o.name, &m.def, s.moments, s.seq))
		}
	}
	if chance(s.r, 20) {
		s.checkLookup(s.model.org(pick(s.r, simOrgs...)))
	}
	if chance(s.r, 5) {
		s.checkEvents(s.model.org(pick(s.r, simOrgs...)))
		s.checkStats()
	}
	if chance(s.r, 2) {
		verifyClean(s.t, s.l)
	}
}

// finish checks everything once more, before and after a restart.
func (s *sim) finish() {
	s.t.Helper()
	for range 2 {
		s.settle()
		verifyClean(s.t, s.l)
		s.checkStats()
		for _, o := range s.model.orgs {
			s.checkEvents(o)
			s.checkMeters(o)
			for i := range o.meters {
				m := &o.meters[i]
				s.ask(o, m, meter.UsageQuery{Organization: o.name, Meter: m.def.Key, From: simFrom, To: simTo, GroupBy: m.def.GroupBy, Window: meter.WindowDay})
				for range 6 {
					s.ask(o, m, randomQuestion(s.r, o.name, &m.def, s.moments, s.seq))
				}
			}
		}
		s.close()
		s.open()
	}
	s.close()
	s.t.Logf("%d blocks, %d crashes", s.seq, s.crashes)
}

// settle waits until no backfill is under way.
func (s *sim) settle() {
	s.t.Helper()
	waitFor(s.t, func() bool {
		for _, o := range s.l.Stats().Organizations {
			if o.Backfilling > 0 {
				return false
			}
		}
		return true
	})
}

// ask puts one question to the ledger, page by page, and to its events alone.
func (s *sim) ask(o *simOrg, m *simMeter, q meter.UsageQuery) {
	s.t.Helper()
	if days := 3 * 24 * time.Hour; m.def.Sampled() && m.def.SlotWidth() == time.Minute && len(q.GroupBy) > 1 && q.To.Sub(q.From) > days {
		q.To = q.From.Add(days) // the samples of all groups are held in memory
	}
	want := o.usage(&m.def, q, s.clock.Now())
	page := q
	page.Limit = pick(s.r, 0, 0, 0, 1+len(want.rows)/3, len(want.rows))
	var rows []meter.UsageRow
	for n := 0; ; n++ {
		u, err := s.l.Usage(context.Background(), page)
		if err != nil {
			s.fatalf("%s: %v", describeQuestion(&q), err)
		}
		if u.Sequence != cmp.Or(q.AsOfSequence, s.seq) {
			s.fatalf("%s: answer at %d, the log is at %d", describeQuestion(&q), u.Sequence, s.seq)
		}
		if page.Limit > 0 && len(u.Rows) > page.Limit || n > 1000 {
			s.fatalf("page %d of %d rows, limit %d", n, len(u.Rows), page.Limit)
		}
		rows = append(rows, u.Rows...)
		if page.Cursor = u.NextCursor; page.Cursor == "" {
			s.compare(m, q, "the "+u.Source, u, rows, &want)
			break
		}
	}
	u, err := s.l.usageOfEvents(q)
	if err != nil {
		s.fatalf("%s from events: %v", describeQuestion(&q), err)
	}
	s.compare(m, q, "a scan", u, u.Rows, &want)
}

// usageOfEvents answers from the events although the cells could.
func (l *Ledger) usageOfEvents(q meter.UsageQuery) (*meter.Usage, error) {
	q.All = q.Limit == 0 && q.Cursor == "" // a page is bounded in bytes too
	qu, err := l.question(q)
	if err != nil {
		return nil, err
	}
	defer qu.room.release()
	u := &meter.Usage{Source: "events"}
	c, seq, err := l.scanUsage(context.Background(), qu)
	if err != nil {
		return nil, err
	}
	u.Sequence = seq
	u.Total, u.HasTotal = c.totalFigure()
	return u, qu.rows(u, c, l.limits)
}

func (s *sim) compare(m *simMeter, q meter.UsageQuery, source string, u *meter.Usage, rows []meter.UsageRow, want *simAnswer) {
	s.t.Helper()
	if u.HasTotal != want.has || u.Total.Cmp(want.total) != 0 {
		s.fatalf("%s of %+v\nfrom %s: total %s %v, want %s %v", describeQuestion(&q), m.def, source, u.Total, u.HasTotal, want.total, want.has)
	}
	same := func(a, b meter.UsageRow) bool {
		return a.Start.Equal(b.Start) && a.End.Equal(b.End) && slices.Equal(a.Group, b.Group) && a.Value.Cmp(b.Value) == 0 && a.Clipped == b.Clipped
	}
	for i := range max(len(rows), len(want.rows)) {
		if i >= len(rows) || i >= len(want.rows) || !same(rows[i], want.rows[i]) {
			s.fatalf("%s of %+v\nfrom %s: %d rows, want %d; row %d: %v, want %v", describeQuestion(&q), m.def, source, len(rows), len(want.rows), i,
				rows[i:min(i+2, len(rows))], want.rows[i:min(i+2, len(want.rows))])
		}
	}
}

func (s *sim) checkStats() {
	s.t.Helper()
	for _, got := range s.l.Stats().Organizations {
		o := s.model.org(got.Organization)
		have := [...]int{int(got.Accepted), int(got.Duplicates), int(got.Conflicts), int(got.Rejected), int(got.Voided), got.Meters}
		want := [...]int{o.counts[0], o.counts[1], o.counts[2], o.counts[3], o.voids, len(o.meters)}
		if have != want {
			s.fatalf("organization %s: %v, want %v", o.name, have, want)
		}
	}
}

func (s *sim) checkMeters(o *simOrg) {
	s.t.Helper()
	have := s.l.Meters(o.name)
	for i := range o.meters {
		m := &o.meters[i]
		skipped, groups := o.standing(m)
		if i >= len(have) || !have[i].Backfill.Done || have[i].Key != m.def.Key || have[i].Name != m.def.Name || !have[i].SameDefinition(m.def) ||
			have[i].Skipped != skipped || !countsGroups(have[i].Groups, groups) {
			s.fatalf("meters of %s: %+v\nwant at %d %+v, %d skipped, %d groups", o.name, have, i, m.def, skipped, groups)
		}
	}
	if len(have) != len(o.meters) {
		s.fatalf("%d meters, want %d", len(have), len(o.meters))
	}
}

// checkEvents lists all events page by page.
func (s *sim) checkEvents(o *simOrg) {
	s.t.Helper()
	q := meter.EventsQuery{Organization: o.name, Limit: 1 + s.r.IntN(200)}
	var verdict *meter.Verdict
	if chance(s.r, 50) {
		verdict = ptr(meter.Verdict(s.r.IntN(4)))
	}
	q.Verdict = verdict
	var got []simLogged
	for {
		page, err := s.l.Events(context.Background(), q)
		if err != nil {
			s.fatalf("events: %v", err)
		}
		for _, e := range page.Events {
			got = append(got, simLogged{e.Sequence, e.Source, e.ID, e.Verdict, e.Voided != nil})
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			break
		}
	}
	var want []simLogged
	for _, e := range o.log {
		if verdict != nil && e.verdict != *verdict {
			continue
		}
		if e.verdict == meter.Accepted {
			e.voided = o.first[meter.Identity{Source: e.source, ID: e.id}].voided != 0
		} else if e.verdict == meter.Rejected && e.source == "src" && len(e.id) > 4 && e.id[:4] == "bad-" {
			e.source = "src"
		}
		want = append(want, e)
	}
	order := func(a, b simLogged) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.id, b.id), cmp.Compare(a.source, b.source), cmp.Compare(a.verdict, b.verdict))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				s.fatalf("events of %s: %d, want %d; at %d %+v, want %+v", o.name, len(got), len(want), i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
			}
		}
	}
}

// checkLookup looks one identity up and adds what it counted towards.
func (s *sim) checkLookup(o *simOrg) {
	s.t.Helper()
	id := s.pool[s.r.IntN(len(s.pool))].Identity
	e := o.first[id]
	got, err := s.l.Lookup(context.Background(), o.name, id.Source, id.ID)
	if e == nil {
		if meter.KindOf(err) != meter.KindNotFound {
			s.fatalf("lookup of unknown %v: %v", id, err)
		}
		return
	}
	if err != nil {
		s.fatalf("lookup %v: %v", id, err)
	}
	g := got.Event
	if identityOf(&g) != id || g.Type != e.Type || g.Customer != e.Customer || !g.Time.Equal(e.Time) || g.Sequence != e.seq || g.AcceptedAt.UnixNano() != e.accepted || g.Verdict != meter.Accepted {
		s.fatalf("lookup %v = %+v, want %+v", id, g, e)
	}
	if (g.Voided != nil) != (e.voided != 0) || g.Voided != nil && (g.Voided.Sequence != e.voidSeq || g.Voided.At.UnixNano() != e.voided || g.Voided.Reason != "a reason") {
		s.fatalf("lookup %v: void %+v, want %d", id, g.Voided, e.voidSeq)
	}
	conflicts := 0
	for _, l := range o.log {
		if l.id == id.ID && l.source == id.Source && l.verdict == meter.Conflict {
			conflicts++
		}
	}
	if len(got.Conflicts) != conflicts {
		s.fatalf("lookup %v: %d conflicts, want %d", id, len(got.Conflicts), conflicts)
	}
	counted, skipped := map[string]string{}, map[string]bool{}
	for i := range o.meters {
		def := &o.meters[i].def
		if def.EventType != e.Type || e.voided != 0 {
			continue
		}
		q, text, ok := simValue(def, e)
		if !ok || !meter.MatchAny(def.Filters, e.Get) {
			skipped[def.Key] = true
		} else if def.Aggregation == meter.AggUniqueCount {
			counted[def.Key] = text
		} else {
			counted[def.Key] = q.String()
		}
	}
	have, left := map[string]string{}, map[string]bool{}
	for _, c := range got.Counted {
		have[c.Meter] = c.Value
	}
	for _, k := range got.Skipped {
		left[k.Meter] = true
	}
	if fmt.Sprint(have, left) != fmt.Sprint(counted, skipped) {
		s.fatalf("lookup %v counted %v skipped %v, want %v %v", id, have, left, counted, skipped)
	}
}

// identityOf is what the record is looked up by.
func identityOf(r *meter.EventRecord) meter.Identity {
	return meter.Identity{Source: r.Source, ID: r.ID}
}
