package marketplace

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// TestReconcileIsOfOneOrganization: it neither reports another's usage nor
// tells of another's errors.
func TestReconcileIsOfOneOrganization(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	m := newMarkets(t, s.clock, 1)
	s.apply(oneEach(""))
	s.inOrganization("other", func(other string) {
		s.must(s.applyTo(other, "meters: [{key: counted, event_type: e, aggregation: SUM, value: v}]\n"+product+strings.Replace(entitlement("theirs", clouds[0], "another", ""), "key: seat", "key: seat, meter: counted", 1)))
		s.post("e-"+clouds[0], "gb=5", ten)
		s.clock.Advance(70 * time.Minute)
		r := New(Options{Usage: failing{}, Entries: s.service, Records: s.room, Accounts: s.catalog, Store: s.records, Senders: sendersTo(t, m.url), Clock: s.clock.Now, Owner: "one"})
		for _, organization := range []string{"third", other} {
			s.inOrganization(organization, func(string) {})
		}
		s.must(r.Reconcile(context.Background(), "third", "test"))
		if got := m.Ledger(); len(got) != 0 {
			t.Errorf("another organization's usage was sent: %+v", got)
		}
		s.must(r.Reconcile(context.Background(), org, "test"))
		if got := m.Total(cloudAccount(clouds[0]), "gb"); got.String() != "5" {
			t.Errorf("%s billed, want 5", got)
		}
	})
}

// failing cannot read any meter.
type failing struct{}

func (failing) Usage(context.Context, access.Principal, meter.UsageQuery) (*meter.Usage, error) {
	return nil, errors.New("the ledger of another organization")
}

func (failing) MeterOf(string, string) (meter.Meter, bool) {
	return meter.Meter{Key: "counted", Aggregation: meter.AggSum}, true
}

// TestRequestsWaitTheirTurn: a request waits for a pass that is at work no
// longer than its context, and what it asked for is done by the next pass.
func TestRequestsWaitTheirTurn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	s.apply(oneEach(""))
	s.must(s.records.PauseReporters(context.Background(), "restored"))
	s.post("e-"+clouds[0], "gb=5", ten)
	s.clock.Advance(70 * time.Minute)
	done, err := r.turn(context.Background()) // a pass that does not end
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Reconcile(ctx, org, "test") }()
	for paused := true; paused; { // until it waits for its turn
		state, err := s.records.Reporter(context.Background(), org)
		s.must(err)
		paused = state.Paused
	}
	cancel()
	if err := <-ended; err == nil || meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("reconcile: %v", err)
	}
	if err := r.RunOnce(ctx, s.clock.Now()); err == nil || meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("pass: %v", err)
	}
	if _, err := r.Report(ctx, org, "e-"+clouds[0], ten, false); err == nil || meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("report: %v", err)
	}
	done()
	s.run(r)
	if got := m.Total(cloudAccount(clouds[0]), "gb"); got.String() != "5" {
		t.Errorf("%s billed by the next pass, want 5", got)
	}
}
