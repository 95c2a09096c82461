package marketplace

import (
	"context"
	"testing"
	"time"

	"odometer/internal/billing"
)

// TestClockSkewAtTheEdgeOfAnHour: one reporter's clock is four minutes ahead of
// the marketplace's, another's four behind, and usage comes in all the while.
// Which of them closes an hour, and when, is seen in what is late or parked;
// nothing is billed twice or lost, and lines keep the hour they were frozen for.
func TestClockSkewAtTheEdgeOfAnHour(t *testing.T) {
	const skew = 4 * time.Minute
	eachCloud(t, func(t *testing.T, s *shop, m *markets, cloud string) {
		var reporters []*Reporter
		for owner, off := range map[string]time.Duration{"ahead": skew, "behind": -skew} {
			clock := func() time.Time { return s.clock.Now().Add(off) }
			reporters = append(reporters, New(Options{Usage: s.service, Entries: s.service, Records: s.room, Accounts: s.catalog, Store: s.records, Senders: sendersTo(t, m.url), Clock: clock, Owner: owner}))
		}
		pass := func(first int) {
			t.Helper()
			for i := range reporters {
				r := reporters[(first+i)%len(reporters)]
				s.must(r.RunOnce(context.Background(), r.o.Clock()))
			}
			s.balance(m)
		}
		for minute := 50; minute < 135; minute++ {
			s.clock.Set(ten.Add(time.Duration(minute) * time.Minute))
			if minute < 125 {
				s.post("e-"+cloud, "gb=1.25", s.clock.Now())                   // of the current hour
				s.post("e-"+cloud, "gb=1", s.clock.Now().Add(-10*time.Minute)) // of the one before, for a while
			}
			pass(minute)
		}
		for range 40 {
			s.clock.Advance(6 * time.Minute)
			pass(0)
		}
		s.agree(m)
		const want = "168.75" // 75 minutes of 2.25
		b := s.balance(m)[billing.DimensionKey{Entitlement: "e-" + cloud, Dimension: "gb"}]
		if got := b.Settled.Add(b.Carry).Add(b.Parked); got.Cmp(b.Mapped) != 0 || !b.Pending.IsZero() || !b.Failed.IsZero() || b.Mapped.String() != want {
			t.Errorf("%+v", b)
		}
		page, err := s.records.Reports(context.Background(), org, billing.ReportFilter{From: ten, To: ten.Add(24 * time.Hour)}, 0, 100)
		s.must(err)
		hours := map[time.Time]int{}
		for _, r := range page.Items {
			if r.Status == billing.ReportSuccess {
				hours[r.Hour]++
			}
		}
		for hour, n := range hours {
			if n != 1 || !hour.Equal(hour.Truncate(time.Hour)) {
				t.Errorf("hour %s was reported %d times", hour, n)
			}
		}
		if len(hours) < 3 {
			t.Errorf("hours %v", hours)
		}
	})
}
