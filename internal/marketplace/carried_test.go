package marketplace

import (
	"context"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/simulator"
)

// TestWhatIsCarriedIsBilledWithoutOtherUsage: what one hour cannot take, the
// next ones do, in this term or another.
func TestWhatIsCarriedIsBilledWithoutOtherUsage(t *testing.T) {
	t.Parallel()
	for _, terms := range []string{"", `, terms: [{id: t1, starts: 2026-01-01, ends: 2026-11-20T11:00:00Z}, {id: t2, starts: 2026-11-20T11:00:00Z}]`} {
		s := newShop(t)
		s.apply(product + strings.Replace(entitlement("e", simulator.AWS, "a", ""), ", starts: 2026-01-01", ", starts: 2026-01-01"+terms, 1))
		m := newMarkets(t, s.clock, 1)
		r := s.reporter(m, "one")
		s.post("e", "gb=3000000000.25", ten.Add(10*time.Minute))
		s.hourOf(r, ten)
		if b := s.gb(m, "e"); b.Carry.String() != "852516353.25" {
			t.Fatalf("%+v", b)
		}
		for hour := 1; hour < 4; hour++ {
			s.hourOf(r, ten.Add(time.Duration(hour)*time.Hour))
			s.agree(m)
		}
		l := m.Ledger()
		if len(l) != 2 || l[0].Quantity.String() != "2147483647" || l[1].Quantity.String() != "852516353" || !l[1].Hour.Equal(ten.Add(time.Hour)) {
			t.Errorf("%+v", l)
		}
		if b := s.gb(m, "e"); b.Carry.String() != "0.25" || b.Settled.String() != "3000000000" || len(s.stuck()) != 0 {
			t.Errorf("%+v %+v", b, s.stuck())
		}
		// What is below one unit goes along with usage of another term.
		s.post("e", "gb=0.75", ten.Add(4*time.Hour))
		s.hourOf(r, ten.Add(4*time.Hour))
		if b := s.gb(m, "e"); !b.Carry.IsZero() || m.Total("a", "gb").String() != "3000000001" {
			t.Errorf("%+v", b)
		}
		s.agree(m)
	}
}

// TestWhatAzureHoldsLessIsBilled: the difference goes to the next open hour.
func TestWhatAzureHoldsLessIsBilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(oneEach(""))
	m := newBetween(t, s)
	r := s.reporter(m.markets, "one")
	s.post("e-azure", "gb=5.5", ten)
	m.holds("azure-1", "gb", "2")
	s.hourOf(r, ten)
	if b := s.gb(m.markets, "e-azure"); b.Carry.String() != "3.5" || b.Sent.String() != "2" {
		t.Fatalf("%+v", b)
	}
	m.set(passOn)
	s.hourOf(r, ten.Add(time.Hour))
	if b := s.gb(m.markets, "e-azure"); !b.Carry.IsZero() || b.Sent.String() != "5.5" || m.Total("azure-1", "gb").String() != "3.5" {
		t.Errorf("%+v", b)
	}
}

// TestWhatIsCarriedAtTheEnd is listed with its amount and reason once no hour
// can take it, and a person ends it. If the entitlement goes on, it is billed.
func TestWhatIsCarriedAtTheEnd(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		ending := product + strings.Replace(entitlement("e", cloud, "a", ""), "starts: 2026-01-01", "starts: 2026-01-01, ends: 2026-11-20T11:00:00Z", 1)
		for _, as := range []string{billing.LineElsewhere, billing.LineMoved} {
			start := s.clock.Now().Truncate(time.Hour)
			s.apply(strings.ReplaceAll(ending, "2026-11-20T11:00:00Z", start.Add(time.Hour).Format(time.RFC3339)))
			r := s.reporter(m, "one")
			s.post("e", "gb=3.0000007", start)
			s.hourOf(r, start)
			carried := map[bool]string{true: "0.0000007", false: "0.0000007"}[cloud == simulator.Azure]
			if b := s.gb(m, "e"); b.Carry.String() != carried {
				t.Fatalf("%+v", b)
			}
			s.clock.Set(start.Add(26 * time.Hour))
			s.run(r)
			got := s.stuck()
			if len(got) != 1 || got[0].State != billing.LineParked || got[0].Usage.String() != carried || got[0].Message != overReason || s.gauge(r, partners[cloud], billing.LineParked) != 1 {
				t.Fatalf("%+v", got)
			}
			if b := s.gb(m, "e"); b.Parked.String() != carried || !b.Carry.IsZero() {
				t.Errorf("%+v", b)
			}
			s.must(s.room.ResolveReport(context.Background(), access.Job(org, "test"), got[0].Report, "gb", as))
			if b := s.gb(m, "e"); as == billing.LineMoved && b.Carry.String() != carried || as == billing.LineElsewhere && !b.Carry.IsZero() || len(s.stuck()) != 0 {
				t.Errorf("%s: %+v", as, b)
			}
			s.agree(m)
		}
	})
}

// TestWhatIsCarriedAndRefused is held by the refused report, and not sent again
// hour by hour.
func TestWhatIsCarriedAndRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.apply(oneEach(""))
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	s.post("e-aws", "gb=3000000000", ten.Add(10*time.Minute))
	s.hourOf(r, ten)
	m.Suspend("aws-1", true)
	for hour := 1; hour < 5; hour++ {
		s.hourOf(r, ten.Add(time.Duration(hour)*time.Hour))
		s.agree(m)
	}
	got := s.stuck()
	if len(got) != 1 || got[0].State != billing.LineRefused || got[0].Usage.String() != "852516353" {
		t.Fatalf("%+v", got)
	}
	if b := s.gb(m, "e-aws"); b.Failed.String() != "852516353" || !b.Carry.IsZero() {
		t.Errorf("%+v", b)
	}
	m.Suspend("aws-1", false)
	s.must(s.room.ResolveReport(context.Background(), access.Job(org, "test"), got[0].Report, "gb", billing.LineMoved))
	s.hourOf(r, ten.Add(5*time.Hour))
	if m.Total("aws-1", "gb").String() != "3000000000" || len(s.stuck()) != 0 {
		t.Errorf("%+v", m.Ledger())
	}
	s.agree(m)
}

// TestWhatAMeterReadIsReadAgainWhenItIsMoved: of each aggregation, after the
// deadline and by hand.
func TestWhatAMeterReadIsReadAgainWhenItIsMoved(t *testing.T) {
	t.Parallel()
	for key, c := range map[string]struct{ definition, first, second string }{
		"max":    {`"aggregation":"MAX","value":"bytes"`, "9", "7"},
		"min":    {`"aggregation":"MIN","value":"bytes"`, "4", "7"},
		"last":   {`"aggregation":"LAST","value":"bytes"`, "4", "7"},
		"avg":    {`"aggregation":"AVG","value":"bytes"`, "6.5", "7"},
		"unique": {`"aggregation":"UNIQUE_COUNT","value":"bytes"`, "2", "1"},
		"sum":    {`"aggregation":"SUM","value":"bytes"`, "13", "7"},
		"count":  {`"aggregation":"COUNT"`, "2", "1"},
	} {
		for _, byHand := range []bool{false, true} {
			s := newShop(t)
			s.createMeter(`{"key":"m","event_type":"traffic",` + c.definition + `,"group_by":["customer"]}`)
			s.apply(product + strings.Replace(entitlement("e", simulator.Azure, "a", `, meter: m`), "starts: 2026-01-01", "starts: 2026-11-20", 1))
			m := newBetween(t, s)
			r := s.reporter(m.markets, "one")
			s.traffic("1", ten.Add(time.Minute), "9")
			s.traffic("2", ten.Add(2*time.Minute), "4")
			if byHand {
				m.holds("a", "gb", "-1") // a person has to decide
				s.hourOf(r, ten)
				got := s.stuck()
				if len(got) != 1 || got[0].State != billing.LineParked {
					t.Fatalf("%s: %+v", key, got)
				}
				s.must(s.room.ResolveReport(context.Background(), access.Job(org, "test"), got[0].Report, "gb", billing.LineMoved))
				m.set(passOn)
			} else {
				m.Next(simulator.Azure, simulator.FaultThrottle)
				s.hourOf(r, ten)
				s.clock.Set(ten.Add(24 * time.Hour))
				s.run(r) // its window has closed
			}
			s.balance(m.markets)
			if got := m.Total("a", "gb"); !got.IsZero() {
				t.Fatalf("%s: accepted %s", key, got)
			}
			at := s.clock.Now().Truncate(time.Hour)
			s.traffic("3", at.Add(30*time.Minute), "7")
			for hour := range 3 {
				s.hourOf(r, at.Add(time.Duration(hour)*time.Hour))
				s.balance(m.markets)
			}
			b := s.gb(m.markets, "e")
			want, _ := decimal(c.first), decimal(c.second)
			if b.Settled.Cmp(want.Add(decimal(c.second))) != 0 || b.Mapped.Cmp(b.Settled) != 0 {
				t.Errorf("%s, by hand %v: %+v, want %s and %s", key, byHand, b, c.first, c.second)
			}
			s.agree(m.markets)
		}
	}
}

// TestHoursThatTheReporterMissed of a meter whose hours do not add up are
// billed when it comes back, and so is what comes late.
func TestHoursThatTheReporterMissed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.createMeter(`{"key":"m","event_type":"traffic","aggregation":"MAX","value":"bytes","group_by":["customer"]}`)
	s.apply(product + strings.Replace(entitlement("e", simulator.AWS, "a", `, meter: m`), "starts: 2026-01-01", "starts: 2026-11-20", 1))
	m := newMarkets(t, s.clock, 1)
	s.traffic("1", ten, "5")
	s.traffic("2", ten.Add(2*time.Hour), "6")
	s.clock.Set(ten.Add(60 * time.Hour)) // the reporter was away for more than two days
	s.traffic("3", ten.Add(58*time.Hour), "1")
	r := s.reporter(m, "one")
	s.run(r)
	if got := m.Total("a", "gb"); got.String() != "12" {
		t.Errorf("accepted %s, want 5 + 6 + 1", got)
	}
	s.traffic("4", ten, "8") // 3 more
	s.hourOf(r, ten.Add(60*time.Hour))
	s.hourOf(r, ten.Add(61*time.Hour))
	if got := m.Total("a", "gb"); got.String() != "15" {
		t.Errorf("accepted %s, want 3 more", got)
	}
	s.agree(m)
}

// TestUsageOfAnEntitlementThatIsOver: what a meter counts late waits for a person.
func TestUsageOfAnEntitlementThatIsOver(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"ends", "removed", "cancelled"} {
		s := newShop(t)
		s.createMeter(`{"key":"m","event_type":"traffic","aggregation":"SUM","value":"bytes","group_by":["customer"]}`)
		one := product + strings.Replace(entitlement("e", simulator.AWS, "a", `, meter: m`), "starts: 2026-01-01", "starts: 2026-11-20", 1)
		if how == "ends" {
			one = strings.Replace(one, "starts: 2026-11-20", "starts: 2026-11-20, ends: 2026-11-20T11:30:00Z", 1)
		}
		s.apply(one)
		m := newMarkets(t, s.clock, 1)
		r := s.reporter(m, "one")
		s.traffic("1", ten, "5")
		s.hourOf(r, ten)
		s.traffic("2", ten.Add(62*time.Minute), "6")
		s.clock.Set(ten.Add(90 * time.Minute))
		switch how {
		case "removed":
			doc, err := catalog.ParseDocument([]byte(product + entitlement("other", simulator.GCP, "g", "")))
			s.must(err)
			_, err = s.catalog.Apply(context.Background(), org, doc, catalog.ApplyOptions{Actor: "test", Prune: true})
			s.must(err)
		case "cancelled":
			s.apply(strings.Replace(one, "customer: acme, product", "status: cancelled, customer: acme, product", 1))
		}
		s.hourOf(r, ten.Add(time.Hour))
		if got := m.Total("a", "gb"); got.String() != "11" {
			t.Errorf("%s: accepted %s, want 11", how, got)
		}
		s.traffic("3", ten.Add(63*time.Minute), "7")
		s.clock.Set(ten.Add(27 * time.Hour))
		s.run(r)
		got := s.stuck()
		if len(got) != 1 || got[0].Usage.String() != "7" || got[0].Message != overUseReason {
			t.Errorf("%s: %+v", how, got)
		}
		s.agree(m)
	}
}
