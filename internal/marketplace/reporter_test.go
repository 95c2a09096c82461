package marketplace

import (
	"context"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/simulator"
)

func eachCloud(t *testing.T, f func(t *testing.T, s *shop, m *markets, cloud string)) {
	t.Parallel()
	for _, cloud := range clouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.apply(oneEach(""))
			f(t, s, newMarkets(t, s.clock, fixedtest.Seed(t)), cloud)
		})
	}
}

// TestAnHourIsReported: nothing before it has closed, everything after, once.
func TestAnHourIsReported(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		r := s.reporter(m, "one")
		first := s.post("e-"+cloud, "gb=10.25 seat=2", ten.Add(5*time.Minute))
		second := s.post("e-"+cloud, "gb=5.5", ten.Add(50*time.Minute))
		s.clock.Set(ten.Add(time.Hour + 5*time.Minute - time.Second))
		s.run(r)
		s.wantStatus(first, billing.GroupCreated)
		s.clock.Advance(time.Second)
		for range 3 {
			s.run(r)
			s.wantStatus(first, billing.GroupReported)
			s.wantStatus(second, billing.GroupReported)
			s.agree(m)
		}
		want := map[string]string{simulator.AWS: "15", simulator.Azure: "15.75", simulator.GCP: "15"}[cloud]
		if got := m.Total(cloud+"-1", "gb"); got.String() != want {
			t.Errorf("accepted %s GB, want %s", got, want)
		}
		if got := m.Total(cloud+"-1", "seat"); got.String() != "2" {
			t.Errorf("accepted %s seats, want 2", got)
		}
		page, err := s.records.Reports(context.Background(), org, billing.ReportFilter{From: ten, To: ten.Add(24 * time.Hour)}, 0, 10)
		s.must(err)
		if len(page.Items) != 1 || page.Items[0].Status != billing.ReportSuccess || !page.Items[0].Hour.Equal(ten) {
			t.Errorf("reports: %+v", page.Items)
		}
	})
}

// TestDecimalsAreCarried: 0.4, 0.4, 0.4 sends 0, 0, 1 where whole numbers are taken.
func TestDecimalsAreCarried(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(oneEach(""))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	for hour, want := range []string{"0", "0", "1"} {
		at := ten.Add(time.Duration(hour) * time.Hour)
		g := s.post("e-aws", "gb=0.4", at)
		s.clock.Set(at.Add(65 * time.Minute))
		s.run(r)
		s.wantStatus(g, billing.GroupReported)
		if got := m.Total("aws-1", "gb"); got.String() != want {
			t.Errorf("after hour %d: %s, want %s", hour, got, want)
		}
		s.agree(m)
	}
	b := s.balance(m)[billing.DimensionKey{Entitlement: "e-aws", Dimension: "gb"}]
	if b.Carry.String() != "0.2" || b.Mapped.String() != "1.2" {
		t.Errorf("%+v", b)
	}
}

// TestFaultsAreRetriedTheSame: whatever one attempt meets, the hour is billed once.
func TestFaultsAreRetriedTheSame(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		r := s.reporter(m, "one")
		at := ten
		for _, fault := range []string{simulator.FaultThrottle, simulator.FaultError, simulator.FaultDrop, simulator.FaultErrorAfter, simulator.FaultPartial,
			simulator.FaultUnavailable, simulator.FaultCredentials} {
			g := s.post("e-"+cloud, "gb=3", at)
			s.clock.Set(at.Add(65 * time.Minute))
			if cloud == simulator.GCP {
				m.Next(cloud, simulator.FaultNone)
			}
			m.Next(cloud, fault, fault)
			s.run(r)
			s.balance(m)
			for range 20 {
				if s.status(g) == billing.GroupReported {
					break
				}
				s.wantStatus(g, billing.GroupReportPending)
				s.clock.Advance(5 * time.Minute)
				s.run(r)
				s.balance(m)
			}
			s.wantStatus(g, billing.GroupReported)
			s.agree(m)
			at = s.clock.Now().Truncate(time.Hour).Add(time.Hour)
		}
		if got := m.Total(cloud+"-1", "gb"); got.String() != "21" {
			t.Errorf("accepted %s, want 21", got)
		}
	})
}

// TestRefusedUsageWaitsForARetry: refused is failed and visible, and a retry
// bills it in an hour that is open, with all that was carried restored.
func TestRefusedUsageWaitsForARetry(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(oneEach(""))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	m.Suspend("aws-1", true)
	g := s.post("e-aws", "gb=2.75 seat=0.5", ten)
	s.clock.Set(ten.Add(65 * time.Minute))
	s.run(r)
	s.wantStatus(g, billing.GroupReportFailed)
	b := s.balance(m)[billing.DimensionKey{Entitlement: "e-aws", Dimension: "gb"}]
	if b.Failed.String() != "2.75" || !b.Carry.IsZero() {
		t.Errorf("%+v", b)
	}
	if b := s.balance(m)[billing.DimensionKey{Entitlement: "e-aws", Dimension: "seat"}]; b.Carry.String() != "0.5" {
		t.Errorf("seat, of which nothing had to be sent: %+v", b)
	}
	m.Suspend("aws-1", false)
	_, err := s.records.RetryRecordGroup(context.Background(), org, g, "test")
	s.must(err)
	s.balance(m)
	s.clock.Advance(time.Hour)
	s.run(r)
	s.wantStatus(g, billing.GroupReported)
	s.agree(m)
	if got := m.Total("aws-1", "gb"); got.String() != "2" {
		t.Errorf("accepted %s, want 2", got)
	}
	if e := m.Ledger(); len(e) != 1 || !e[0].Hour.Equal(ten.Add(time.Hour)) {
		t.Errorf("%+v", e)
	}
}

// TestLateUsage: usage of an hour that is closed goes to the earliest open one
// after it, or, for GCP, waits for a person; of an hour that nothing was
// frozen for, to that hour.
func TestLateUsage(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		r := s.reporter(m, "one")
		s.post("e-"+cloud, "gb=1", ten)
		s.clock.Set(ten.Add(125 * time.Minute))
		s.run(r)
		late := s.post("e-"+cloud, "gb=7", ten.Add(time.Minute))
		idle := s.post("e-"+cloud, "gb=3", ten.Add(-time.Hour))
		s.run(r)
		s.wantStatus(idle, billing.GroupReported)
		hours := map[int]string{}
		for _, e := range m.Ledger() {
			hours[e.Hour.Hour()] = e.Quantity.String()
		}
		if cloud == simulator.GCP {
			s.wantStatus(late, billing.GroupReportPending)
			if len(hours) != 2 || hours[9] != "3" || hours[10] != "1" {
				t.Errorf("%v", hours)
			}
			b := s.balance(m)[billing.DimensionKey{Entitlement: "e-gcp", Dimension: "gb"}]
			if b.Parked.String() != "7" {
				t.Errorf("%+v", b)
			}
			return
		}
		s.wantStatus(late, billing.GroupReported)
		if len(hours) != 3 || hours[9] != "3" || hours[10] != "1" || hours[11] != "7" {
			t.Errorf("%v", hours)
		}
		s.agree(m)
	})
}

// TestParkedUsageIsResolvedByHand: late usage for GCP is billed with the next
// hour if a person says so, and failed if not.
func TestParkedUsageIsResolvedByHand(t *testing.T) {
	t.Parallel()
	for _, to := range []string{billing.LineSettled, billing.LineRefused} {
		s := newShop(t)
		s.apply(oneEach(""))
		m := newMarkets(t, s.clock, 1)
		r := s.reporter(m, "one")
		s.post("e-gcp", "gb=1", ten)
		s.clock.Set(ten.Add(65 * time.Minute))
		s.run(r)
		late := s.post("e-gcp", "gb=7.5", ten)
		s.run(r)
		g, err := s.records.RecordGroup(context.Background(), org, late)
		s.must(err)
		s.must(s.records.ResolvePortion(context.Background(), org, g.Report, "gb", to, "test"))
		s.balance(m)
		next := s.post("e-gcp", "gb=2", ten.Add(time.Hour))
		s.clock.Advance(time.Hour)
		s.run(r)
		s.wantStatus(next, billing.GroupReported)
		s.agree(m)
		want, status := "10", billing.GroupReported
		if to == billing.LineRefused {
			want, status = "3", billing.GroupReportFailed
		}
		s.wantStatus(late, status)
		if got := m.Total("gcp-1", "gb"); got.String() != want {
			t.Errorf("%s: accepted %s, want %s", to, got, want)
		}
	}
}

// TestTwoEntitlementsOfOneAccount share one line: the second would be dropped as a duplicate.
func TestTwoEntitlementsOfOneAccount(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		s.apply(product + entitlement("one", cloud, "shared", "") + entitlement("two", cloud, "shared", ""))
		r := s.reporter(m, "one")
		s.post("one", "gb=1.5 seat=1", ten)
		s.post("two", "gb=2.75", ten)
		s.clock.Set(ten.Add(65 * time.Minute))
		s.run(r)
		want := map[string]string{simulator.AWS: "3", simulator.Azure: "4.25", simulator.GCP: "3"}[cloud]
		if got := m.Total("shared", "gb"); got.String() != want || len(m.Ledger()) != 2 {
			t.Errorf("accepted %s in %d entries, want %s", got, len(m.Ledger()), want)
		}
		s.agree(m)
	})
}
