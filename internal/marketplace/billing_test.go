package marketplace

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// hourOf closes the hour that begins at a time.
func (s *shop) hourOf(r *Reporter, start time.Time) {
	s.t.Helper()
	s.clock.Set(start.Add(65 * time.Minute))
	s.run(r)
}

func (s *shop) gb(m *markets, entitlement string) billing.Balance {
	s.t.Helper()
	return s.balance(m)[billing.DimensionKey{Entitlement: entitlement, Dimension: "gb"}]
}

// TestCreditCommitIncluded over hours: each is used up in turn, once, and what
// is beyond is billed, at the list price if the configuration says so.
func TestCreditCommitIncluded(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(product + strings.Replace(entitlement("e", simulator.AWS, "a", `, included: "100"`), "starts: 2026-01-01,",
		`starts: 2026-01-01, terms: [{id: t1, starts: 2026-01-01, commit: "10", included_per: month}],`, 1))
	_, err := s.records.PutMeteringConfigs(context.Background(), org, []billing.MeteringConfig{{Partner: catalog.PartnerAWS, CommitFirst: true, OverageAtList: true}}, "test")
	s.must(err)
	_, err = s.records.AddCredit(context.Background(), org, "e", meter.NewDecimal(4), billing.Idempotency{}, "test")
	s.must(err)
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	// 4 of credit are 80 GB, 10 of commit 200, and 100 are included.
	for i, c := range []struct{ usage, accepted, absorbed string }{
		{"70", "0", "70"}, {"200", "0", "270"}, {"150", "64", "380"}, {"5", "72", "380"},
	} { // the third hour: 110 absorbed, 40 over, which at the list price are 64; then 5, which are 8
		at := ten.Add(time.Duration(i) * time.Hour)
		g := s.post("e", "gb="+c.usage, at)
		s.hourOf(r, at)
		s.wantStatus(g, billing.GroupReported)
		if got := m.Total("a", "gb"); got.String() != c.accepted {
			t.Errorf("hour %d: accepted %s, want %s", i, got, c.accepted)
		}
		if b := s.gb(m, "e"); b.Absorbed.String() != c.absorbed {
			t.Errorf("hour %d: %+v", i, b)
		}
	}
	if b := s.gb(m, "e"); b.Settled.String() != "45" || b.Sent.String() != "72" || b.Mapped.String() != "425" {
		t.Errorf("%+v", b) // before the adjustment 45 were billed
	}
	// The next month includes 100 again; the commit is of the term. 1 is over, at the list price 1.6.
	at := time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC)
	s.post("e", "gb=101", at)
	s.hourOf(r, at)
	if b := s.gb(m, "e"); b.Settled.String() != "45.4" || b.Carry.String() != "0.6" || b.Absorbed.String() != "480" {
		t.Errorf("the next month: %+v", b)
	}
	s.agree(m)
}

// TestWhatIsOpenIsNotGivenTwice: an hour that is not decided holds what it has
// absorbed, and gives it back if it is refused.
func TestWhatIsOpenIsNotGivenTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(product + entitlement("e", simulator.AWS, "a", `, included: "100"`))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	m.Next(simulator.AWS, simulator.FaultThrottle)
	first := s.post("e", "gb=90.5 seat=1", ten) // all included; the seat is sent, and throttled
	s.post("e", "gb=20", ten)                   // 10.5 over
	s.hourOf(r, ten)
	s.wantStatus(first, billing.GroupReportPending)
	s.must(s.records.SetReporter(context.Background(), org, billing.ReporterState{Paused: true}, "test"))
	second := s.post("e", "gb=30", ten.Add(time.Hour))
	s.must(s.records.SetReporter(context.Background(), org, billing.ReporterState{}, "test"))
	m.Suspend("a", true)
	m.Next(simulator.AWS, simulator.FaultThrottle) // the second hour stays open too
	s.hourOf(r, ten.Add(time.Hour))
	s.clock.Advance(2 * time.Minute)
	s.run(r)
	s.wantStatus(first, billing.GroupReportFailed)
	s.wantStatus(second, billing.GroupReportFailed)
	if b := s.gb(m, "e"); b.Failed.String() != "140.5" || !b.Absorbed.IsZero() {
		t.Errorf("%+v", b)
	}
}

// TestBillableMetrics: records are aggregated hour by hour and billed as the
// dimension that their metric is mapped to; a day's distinct values count once,
// also when an hour is refused and retried.
func TestBillableMetrics(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(oneEach(""))
	ctx := context.Background()
	s.mapUsers()
	for id, definition := range map[string]string{
		"users": `{"key":"users","event_type":"suger.metric.users","aggregation":"UNIQUE_COUNT","value":"properties.user"}`,
		"other": `{"key":"other","event_type":"suger.metric.other","aggregation":"COUNT"}`,
	} {
		_, err := s.records.CreateBillableMetric(ctx, org, billing.BillableMetric{ID: id, Definition: json.RawMessage(definition), Info: json.RawMessage(`{}`)})
		s.must(err)
	}
	users := func(at time.Time, names ...string) string {
		g := billing.RecordGroup{ID: fmt.Sprint("u", at.Unix(), names[0]), Entitlement: "e-aws", Customer: "acme", Buyer: "acme", Partner: catalog.PartnerAWS, Product: "cdn",
			Status: billing.GroupCreated, Usage: at, Source: "API", Billable: []billing.BillableRecord{{Metric: "other"}}}
		for _, name := range names {
			g.Billable = append(g.Billable, billing.BillableRecord{Metric: "users", Properties: json.RawMessage(`{"user":"` + name + `"}`)})
		}
		_, _, err := s.records.CreateRecordGroups(ctx, org, []billing.RecordGroup{g}, billing.Idempotency{})
		s.must(err)
		return g.ID
	}
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	users(ten, "ann", "bob", "ann")
	s.hourOf(r, ten)
	m.Suspend("aws-1", true)
	refused := users(ten.Add(time.Hour), "bob", "cid")
	s.hourOf(r, ten.Add(time.Hour))
	s.wantStatus(refused, billing.GroupReportFailed)
	m.Suspend("aws-1", false)
	third := users(ten.Add(2*time.Hour), "cid", "dan")
	s.hourOf(r, ten.Add(2*time.Hour))
	s.wantStatus(third, billing.GroupReported)
	_, err := s.records.RetryRecordGroup(ctx, org, refused, "test")
	s.must(err)
	s.hourOf(r, ten.Add(3*time.Hour))
	s.wantStatus(refused, billing.GroupReported)
	users(ten.Add(24*time.Hour), "ann") // another day
	s.hourOf(r, ten.Add(24*time.Hour))
	if seats, gb := m.Total("aws-1", "seat"), m.Total("aws-1", "gb"); seats.String() != "5" || gb.String() != "10" {
		t.Errorf("%s seats and %s GB, want 5 and 10", seats, gb)
	}
	s.agree(m)
	page, err := s.records.Reports(ctx, org, billing.ReportFilter{From: ten, To: ten.AddDate(0, 0, 9)}, 0, 10)
	s.must(err)
	first := page.Items[len(page.Items)-1]
	for _, text := range []string{`"key":"users","quantity":2,`, `"key":"other","quantity":1,`, `"newItems":{"ann":true,"bob":true}`} {
		if !strings.Contains(string(first.Info), text) {
			t.Errorf("the report lacks %s: %s", text, first.Info)
		}
	}
}

// TestDimensionReadFromAMeter: hour by hour, with what comes late taken by the
// next hour, and what is voided by it too.
func TestDimensionReadFromAMeter(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
		s.apply(product + strings.Replace(entitlement("e", cloud, "a", `, meter: bytes, scale: "0.5"`), "starts: 2026-01-01", "starts: 2026-11-20", 1))
		r := s.reporter(m, "one")
		want := func(quantity string) {
			t.Helper()
			if got := m.Total("a", "gb"); got.String() != quantity {
				t.Errorf("accepted %s, want %s", got, quantity)
			}
		}
		s.traffic("1", ten.Add(time.Minute), "21")
		s.traffic("2", ten.Add(-time.Hour), "8")
		s.hourOf(r, ten)
		want(map[string]string{simulator.AWS: "14", simulator.Azure: "14.5", simulator.GCP: "14"}[cloud])
		s.run(r) // what is read is read once
		s.traffic("3", ten.Add(2*time.Minute), "4")
		s.traffic("4", ten.Add(70*time.Minute), "10")
		s.hourOf(r, ten.Add(time.Hour))
		b := s.gb(m, "e")
		if b.Mapped.String() != "21.5" {
			t.Errorf("%+v", b)
		}
		if cloud == simulator.GCP { // 2 are of a closed hour
			want("19")
			if b.Parked.String() != "2" {
				t.Errorf("%+v", b)
			}
			return
		}
		want(map[string]string{simulator.AWS: "21", simulator.Azure: "21.5"}[cloud])
		s.agree(m)
		// A reporter that was away reads each hour that it has missed as its own.
		s.traffic("5", ten.Add(2*time.Hour), "2")
		s.traffic("6", ten.Add(3*time.Hour), "4")
		s.hourOf(s.reporter(m, "two"), ten.Add(3*time.Hour))
		if n := len(m.Ledger()); n != 5 {
			t.Errorf("%d entries, want one for each of five hours", n)
		}
		s.agree(m)
	})
}

// TestWindowCloses: an hour that certainly was not accepted in its window goes
// to a later one; one that may have been is looked for, and waits for a person
// where nobody can tell.
func TestWindowCloses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cloud, fault, status, total string
		lateHour                    bool
	}{
		{simulator.AWS, simulator.FaultThrottle, billing.GroupReported, "3", true},
		{simulator.Azure, simulator.FaultThrottle, billing.GroupReported, "3", true},
		{simulator.GCP, simulator.FaultThrottle, billing.GroupReportPending, "0", false},
		{simulator.AWS, simulator.FaultDrop, billing.GroupReportPending, "3", false},
		{simulator.Azure, simulator.FaultDrop, billing.GroupReported, "3", false},
		{simulator.GCP, simulator.FaultDrop, billing.GroupReported, "3", false},
	} {
		s := newShop(t)
		s.apply(oneEach(""))
		m := newMarkets(t, s.clock, 1)
		r := s.reporter(m, "one")
		g := s.post("e-"+c.cloud, "gb=3", ten)
		if c.cloud == simulator.GCP && c.fault == simulator.FaultDrop {
			m.Next(c.cloud, simulator.FaultNone)
		}
		m.Next(c.cloud, c.fault)
		s.hourOf(r, ten)
		s.clock.Set(ten.Add(25*time.Hour + 6*time.Minute)) // and the reporter was away
		for range 12 {
			s.run(r)
			s.balance(m)
			s.clock.Advance(6 * time.Minute)
		}
		name := c.cloud + " after " + c.fault
		if got := s.status(g); got != c.status {
			t.Errorf("%s: %s, want %s", name, got, c.status)
		}
		if got := m.Total(c.cloud+"-1", "gb"); got.String() != c.total {
			t.Errorf("%s: accepted %s, want %s", name, got, c.total)
		}
		if e := m.Ledger(); len(e) > 0 && e[0].Hour.After(ten) != c.lateHour {
			t.Errorf("%s: %+v", name, e)
		}
		if c.status == billing.GroupReportPending {
			if b := s.gb(m, "e-"+c.cloud); b.Parked.String() != "3" {
				t.Errorf("%s: %+v", name, b)
			}
		}
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	timing := Timing{}.orDefault()
	at := func(text string) time.Time {
		v, err := time.Parse("2006-01-02T15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ partner, hour, want string }{
		{catalog.PartnerAWS, "2026-11-20T10:00", "2026-11-21T09:30"}, {catalog.PartnerAWS, "2026-11-30T10:00", "2026-12-01T05:30"},
		{catalog.PartnerAWS, "2026-12-31T23:00", "2027-01-01T05:30"}, {catalog.PartnerAWS, "2026-12-01T00:00", "2026-12-01T23:30"},
		{catalog.PartnerAzure, "2026-11-30T10:00", "2026-12-01T09:30"}, {catalog.PartnerGCP, "2026-11-20T10:00", "2026-11-20T14:00"},
	} {
		if got := timing.deadline(c.partner, at(c.hour)); !got.Equal(at(c.want)) {
			t.Errorf("%s %s: %s, want %s", c.partner, c.hour, got, c.want)
		}
	}
	for _, c := range []struct{ now, want string }{{"2026-11-20T11:04", "2026-11-20T10:00"}, {"2026-11-20T11:05", "2026-11-20T11:00"}} {
		if got := timing.through(at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("at %s hours are closed up to %s, want %s", c.now, got, c.want)
		}
	}
	if a, b := operationID("o", "a", "d", at("2026-11-20T11:00")), operationID("o", "a", "d", at("2026-11-20T11:00").In(time.FixedZone("x", 3600))); a != b || a[14] != '5' {
		t.Errorf("operation ids %s and %s", a, b)
	}
}
