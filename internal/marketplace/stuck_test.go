package marketplace

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/simulator"
)

func (s *shop) stuck() []billing.StuckLine {
	s.t.Helper()
	got, err := s.room.StuckReports(context.Background(), access.Job(org, "test"))
	s.must(err)
	return got.Lines
}

// gauge is the number of lines of a partner in a state, as the metrics tell it; 0 if they do not.
func (s *shop) gauge(r *Reporter, partner, state string) int {
	s.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	s.must(registry.Register(r.Collector()))
	families, err := registry.Gather()
	s.must(err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "odometer_reporter_lines" && l[1].GetValue() == partner && l[2].GetValue() == state {
				return int(m.GetGauge().GetValue())
			}
		}
	}
	return 0
}

// TestWhatWaitsWithoutALineIsListed: late usage of GCP, a dimension that has
// no metric, both with their amount and reason, in the list and the metrics.
func TestWhatWaitsWithoutALineIsListed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(strings.ReplaceAll(oneEach(""), ", seat: {name: seat, type: DOUBLE}", ""))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	s.clock.Set(ten.Add(6*time.Hour + 10*time.Minute))
	late := s.post("e-gcp", "gb=7.25", ten)
	refused := s.post("e-gcp", "seat=2.5 gb=1", ten.Add(5*time.Hour))
	s.run(r)
	s.wantStatus(late, billing.GroupReportPending)
	s.wantStatus(refused, billing.GroupReportFailed)
	got := s.stuck()
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	if l := got[0]; l.State != billing.LineParked || l.Usage.String() != "7.25" || l.Dimension != "gb" || l.Entitlement != "e-gcp" || l.Message != closedHour || l.Operation != "" || l.Report == "" {
		t.Errorf("%+v", l)
	}
	if l := got[1]; l.State != billing.LineRefused || l.Usage.String() != "2.5" || l.Dimension != "seat" || !strings.Contains(l.Message, "does not say how seat is billed") {
		t.Errorf("%+v", l)
	}
	for _, state := range []string{billing.LineParked, billing.LineRefused} {
		if n := s.gauge(r, catalog.PartnerGCP, state); n != 1 {
			t.Errorf("the gauge of %s lines is %d", state, n)
		}
	}
	if g, err := s.records.RecordGroup(context.Background(), org, refused); err != nil || !strings.Contains(g.Message, "does not say how seat is billed") {
		t.Errorf("%+v, %v", g, err)
	}
	// The person resolves both: one is billed with the next hour, the other elsewhere.
	for i, as := range []string{billing.LineSettled, billing.LineElsewhere} {
		s.must(s.room.ResolveReport(context.Background(), access.Job(org, "test"), got[i].Report, got[i].Dimension, as))
		s.balance(m)
	}
	s.wantStatus(late, billing.GroupReported)
	s.wantStatus(refused, billing.GroupReported)
	if left := s.stuck(); len(left) != 0 || s.gauge(r, catalog.PartnerGCP, billing.LineParked) != 0 {
		t.Errorf("%+v", left)
	}
	if b := s.balance(m)[billing.DimensionKey{Entitlement: "e-gcp", Dimension: "seat"}]; b.Settled.String() != "2.5" || !b.Sent.IsZero() {
		t.Errorf("%+v", b)
	}
	s.post("e-gcp", "gb=1", ten.Add(6*time.Hour))
	s.hourOf(r, ten.Add(6*time.Hour))
	s.agree(m)
	if total := m.Total("gcp-1", "gb"); total.String() != "9" { // 7.25 + 1 + 1, and 0.25 carried
		t.Errorf("accepted %s", total)
	}
}

// TestWhatWasRefusedIsStuckUntilItIsSettled: a retry takes it out of the
// refused report, group by group, and what a person settles elsewhere is over.
func TestWhatWasRefusedIsStuckUntilItIsSettled(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		ctx, who := context.Background(), access.Job(org, "test")
		r := s.reporter(m, "one")
		m.RefuseDimension("gb")
		first, second := s.post("e-"+cloud, "gb=3 seat=1", ten), s.post("e-"+cloud, "gb=4", ten)
		s.hourOf(r, ten)
		s.wantStatus(first, billing.GroupReportFailed)
		if got := s.stuck(); len(got) != 1 || got[0].Usage.String() != "7" {
			t.Fatalf("%+v", got)
		}
		_, err := s.records.RetryRecordGroup(ctx, org, first, "test")
		s.must(err)
		got := s.stuck()
		if len(got) != 1 || got[0].Usage.String() != "4" {
			t.Fatalf("one of two groups was retried: %+v", got)
		}
		s.balance(m)
		s.must(s.room.ResolveReport(ctx, who, got[0].Report, "gb", billing.LineSettled))
		s.wantStatus(second, billing.GroupReported)
		if got := s.stuck(); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		if b := s.gb(m, "e-"+cloud); b.Settled.String() != "4" || b.Pending.String() != "3" || !b.Sent.IsZero() {
			t.Errorf("%+v", b)
		}
		s.hourOf(r, ten.Add(time.Hour))
		got = s.stuck()
		if cloud == simulator.GCP { // its hour is closed: it waits for a person
			if len(got) != 1 || got[0].State != billing.LineParked || got[0].Usage.String() != "3" {
				t.Fatalf("%+v", got)
			}
			s.must(s.room.ResolveReport(ctx, who, got[0].Report, "gb", billing.LineElsewhere))
			if b := s.gb(m, "e-gcp"); b.Settled.String() != "7" || len(s.stuck()) != 0 {
				t.Errorf("%+v", b)
			}
			return
		}
		s.wantStatus(first, billing.GroupReportFailed) // refused once more
		if len(got) != 1 || got[0].Usage.String() != "3" || s.gauge(r, partners[cloud], billing.LineRefused) != 1 {
			t.Fatalf("%+v", got)
		}
		report := got[0].Report
		s.must(s.room.ResolveReport(ctx, who, report, "gb", billing.LineMoved))
		s.balance(m)
		if got := s.stuck(); len(got) != 0 || s.status(first) != billing.GroupReportPending {
			t.Errorf("%+v", got)
		}
		if err := s.room.ResolveReport(ctx, who, report, "gb", billing.LineMoved); err == nil {
			t.Error("resolved twice")
		}
	})
}

var partners = map[string]string{simulator.AWS: catalog.PartnerAWS, simulator.Azure: catalog.PartnerAzure, simulator.GCP: catalog.PartnerGCP}

// TestARefusedReadingCanBeSettled: what was read of a meter has no group that
// could be retried: a person has it billed in another hour, or has settled it.
func TestARefusedReadingCanBeSettled(t *testing.T) {
	t.Parallel()
	for _, as := range []string{billing.LineMoved, billing.LineElsewhere} {
		s := newShop(t)
		s.createMeter(`{"key":"bytes","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
		s.apply(product + strings.Replace(entitlement("e", simulator.AWS, "a", `, meter: bytes`), "starts: 2026-01-01", "starts: 2026-11-20", 1))
		m := newMarkets(t, s.clock, 1)
		r := s.reporter(m, "one")
		m.Suspend("a", true)
		s.traffic("1", ten, "21")
		s.hourOf(r, ten)
		m.Suspend("a", false)
		got := s.stuck()
		if len(got) != 1 || got[0].State != billing.LineRefused || got[0].Usage.String() != "21" {
			t.Fatalf("%+v", got)
		}
		s.must(s.room.ResolveReport(context.Background(), access.Job(org, "test"), got[0].Report, "gb", as))
		s.balance(m)
		s.traffic("2", ten.Add(time.Hour), "4")
		s.hourOf(r, ten.Add(time.Hour))
		want := map[string]string{billing.LineMoved: "25", billing.LineElsewhere: "4"}[as]
		if total := m.Total("a", "gb"); total.String() != want || len(s.stuck()) != 0 {
			t.Errorf("%s: accepted %s, want %s; %+v", as, total, want, s.stuck())
		}
		if b := s.gb(m, "e"); b.Settled.String() != "25" || b.Mapped.String() != "25" || b.Sent.String() != want {
			t.Errorf("%s: %+v", as, b)
		}
		s.agree(m)
	}
}

// TestAShownFigureIsTheBilledOne: a value that was counted in an hour before is
// neither billed nor shown again.
func TestAShownFigureIsTheBilledOne(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(oneEach(""))
	ctx := context.Background()
	s.mapUsers()
	_, err := s.records.CreateBillableMetric(ctx, org, billing.BillableMetric{ID: "users", Info: json.RawMessage(`{}`),
		Definition: json.RawMessage(`{"key":"users","event_type":"suger.metric.users","aggregation":"UNIQUE_COUNT","value":"properties.user"}`)})
	s.must(err)
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	for hour, want := range []string{`"quantity":1,"amount":1.1,`, `"quantity":0,"amount":0,`} {
		at := ten.Add(time.Duration(hour) * time.Hour)
		_, _, err := s.records.CreateRecordGroups(ctx, org, []billing.RecordGroup{{ID: at.String(), Entitlement: "e-aws", Customer: "acme", Buyer: "acme", Partner: catalog.PartnerAWS, Product: "cdn",
			Status: billing.GroupCreated, Usage: at, Source: "API", Billable: []billing.BillableRecord{{Metric: "users", Properties: json.RawMessage(`{"user":"ann"}`)}}}}, billing.Idempotency{})
		s.must(err)
		s.hourOf(r, at)
		page, err := s.records.Reports(ctx, org, billing.ReportFilter{From: ten, To: ten.AddDate(0, 0, 9)}, 0, 10)
		s.must(err)
		if info := string(page.Items[0].Info); !strings.Contains(info, `"key":"users",`+want) || strings.Count(info, `"key":"users"`) != 1 {
			t.Errorf("hour %d: %s", hour, info)
		}
	}
	if seats, gb := m.Total("aws-1", "seat"), m.Total("aws-1", "gb"); seats.String() != "1" || gb.String() != "2" {
		t.Errorf("%s seats and %s GB", seats, gb)
	}
}
