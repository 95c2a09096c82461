package marketplace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// long says whether the long forms of random tests are asked for.
func long() bool { return os.Getenv("ODOMETER_SIM_LONG") != "" }

// history is a random history: what was posted, and what the marketplaces hold.
type history struct {
	*shop
	r            *rand.Rand
	m            *markets
	entitlements []string
	posted       map[billing.DimensionKey]meter.Decimal
	groups       []string
	crash        string // the next point of a pass at which its context ends
	cancel       context.CancelFunc
	reporter     *Reporter
}

func newHistory(t *testing.T, seed uint64, n int) *history {
	h := &history{shop: newShop(t), r: rand.New(rand.NewPCG(seed, 0)), posted: map[billing.DimensionKey]meter.Decimal{}}
	h.m = newMarkets(t, h.clock, seed)
	var yaml strings.Builder
	yaml.WriteString(product)
	for i := range n {
		id := fmt.Sprint("e", i)
		account := fmt.Sprint("account-", i/3*3+i%3) // one each
		if i%10 == 9 {
			account = fmt.Sprint("account-", i-3) // shared with the one before in its cloud
		}
		more := ""
		if i%4 == 0 {
			more = `, included: "20.5"`
		}
		line := entitlement(id, clouds[i%3], account, more)
		if i%5 == 0 {
			line = strings.Replace(line, "starts: 2026-01-01,", `starts: 2026-01-01, terms: [{id: t1, starts: 2026-01-01, commit: "3.7", included_per: term}],`, 1)
		}
		yaml.WriteString(line)
		h.entitlements = append(h.entitlements, id)
	}
	h.apply(yaml.String())
	_, err := h.records.PutMeteringConfigs(context.Background(), org, []billing.MeteringConfig{{Partner: catalog.PartnerAWS, CommitFirst: true, OverageAtList: true},
		{Partner: catalog.PartnerAzure, CommitFirst: true}}, "test")
	h.must(err)
	h.reporter = h.shop.reporter(h.m, "one")
	h.reporter.o.Fault = func(point string) {
		if point == h.crash {
			h.cancel()
		}
	}
	return h
}

// pass makes a pass that may be cut short.
func (h *history) pass() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h.cancel = cancel
	if err := h.reporter.RunOnce(ctx, h.clock.Now()); err != nil && ctx.Err() == nil {
		h.t.Fatal(err)
	}
}

func (h *history) postRandom() {
	id := h.entitlements[h.r.IntN(len(h.entitlements))]
	at := h.clock.Now().Add(-time.Duration(h.r.IntN(100)) * time.Minute)
	if h.r.IntN(20) == 0 {
		at = at.Add(-time.Duration(h.r.IntN(30)) * time.Hour)
	}
	gb := fmt.Sprintf("%d.%03d", h.r.IntN(40), h.r.IntN(1000))
	seat := fmt.Sprintf("0.%d", h.r.IntN(10))
	group := h.post(id, "gb="+gb+" seat="+seat, at)
	h.groups = append(h.groups, group)
	for dimension, text := range map[string]string{"gb": gb, "seat": seat} {
		q, err := meter.ParseDecimal(text)
		h.must(err)
		k := billing.DimensionKey{Entitlement: id, Dimension: dimension}
		h.posted[k] = h.posted[k].Add(q)
	}
}

// touch deletes or retries a random group, which may be refused.
func (h *history) touch() {
	if len(h.groups) == 0 {
		return
	}
	id := h.groups[h.r.IntN(len(h.groups))]
	if h.r.IntN(2) == 0 {
		if _, err := h.records.RetryRecordGroup(context.Background(), org, id, "test"); err != nil && meter.KindOf(err) != meter.KindInvalid {
			h.t.Fatal(err)
		}
		return
	}
	before, err := h.records.RecordGroup(context.Background(), org, id)
	h.must(err)
	after, err := h.records.DeleteRecordGroup(context.Background(), org, id, "test")
	if err == nil && before.Status != billing.GroupDeleted && after.Status == billing.GroupDeleted {
		for dimension, q := range before.Records {
			k := billing.DimensionKey{Entitlement: before.Entitlement, Dimension: dimension}
			h.posted[k] = h.posted[k].Sub(q)
		}
	}
}

// check holds the accounts against what was posted and what was accepted.
func (h *history) check() map[billing.DimensionKey]billing.Balance {
	h.t.Helper()
	all := h.balance(h.m)
	ours := meter.Decimal{}
	for k, b := range all {
		if b.Mapped.Cmp(h.posted[k]) != 0 {
			h.t.Errorf("%+v: %s is accounted for of %s posted", k, b.Mapped, h.posted[k])
		}
		ours = ours.Add(b.Sent)
	}
	if theirs := h.accepted(); ours.Cmp(theirs) > 0 {
		h.t.Errorf("booked %s, accepted %s", ours, theirs)
	}
	if h.t.Failed() {
		h.t.FailNow()
	}
	return all
}

func (h *history) accepted() meter.Decimal {
	total := meter.Decimal{}
	for _, e := range h.m.Ledger() {
		total = total.Add(e.Quantity)
	}
	return total
}

// settle ends all faults and lets everything come to its end.
func (h *history) settle(hours int) {
	h.crash = ""
	for _, cloud := range clouds {
		h.m.SetFaults(cloud, simulator.Faults{})
	}
	for i := range h.entitlements {
		h.m.Suspend(fmt.Sprint("account-", i), false)
	}
	for range hours {
		h.clock.Advance(time.Hour)
		h.pass()
		h.clock.Advance(6 * time.Minute)
		h.pass()
	}
	all := h.check()
	ours, parked := meter.Decimal{}, meter.Decimal{}
	lines, err := h.records.StuckLines(context.Background(), org, 100_000)
	h.must(err)
	for _, l := range lines {
		switch {
		case l.State == billing.LineFrozen:
			h.t.Errorf("still not decided: %+v", l)
		case l.Message == "" || l.Operation != "" && l.Deadline.IsZero(): // what has no line is not sent any more
			h.t.Errorf("no reason or no deadline: %+v", l)
		case l.State == billing.LineParked:
			parked = parked.Add(l.Quantity)
		}
	}
	for k, b := range all {
		ours = ours.Add(b.Sent)
		if !b.Pending.IsZero() {
			h.t.Errorf("%+v: %s is still pending", k, b.Pending)
			h.dump(k.Entitlement)
		}
	}
	if theirs := h.accepted(); theirs.Cmp(ours) < 0 || theirs.Cmp(ours.Add(parked)) > 0 || parked.IsZero() && theirs.Cmp(ours) != 0 {
		h.t.Errorf("booked %s, parked %s, accepted %s", ours, parked, theirs)
	}
}

// TestHistoriesOfReports: whatever happens, at every step each account adds up
// to what was posted, and nothing is booked that was not accepted.
func TestHistoriesOfReports(t *testing.T) {
	t.Parallel()
	rounds, steps := 1, 60
	if long() {
		rounds, steps = 6, 600
	} else if testing.Short() {
		steps = 30
	}
	first := fixedtest.Seed(t)
	for round := range rounds {
		h := newHistory(t, first+uint64(round), 12)
		for range steps {
			h.step()
			h.check()
		}
		h.settle(45)
		if t.Failed() {
			t.Fatalf("ODOMETER_SEED=%d", first+uint64(round))
		}
	}
}

func (h *history) step() {
	switch n := h.r.IntN(20); {
	case n < 8:
		h.postRandom()
	case n < 10:
		h.touch()
	case n < 11:
		h.m.Suspend(fmt.Sprint("account-", h.r.IntN(len(h.entitlements))), h.r.IntN(2) == 0)
	case n < 12:
		amount := meter.NewDecimal(1 + h.r.Int64N(5)).Quo(meter.NewDecimal(7))
		_, err := h.records.AddCredit(context.Background(), org, h.entitlements[h.r.IntN(len(h.entitlements))], amount, billing.Idempotency{}, "test")
		h.must(err)
	case n < 13:
		for _, cloud := range clouds {
			h.m.SetFaults(cloud, simulator.Faults{Throttle: h.r.IntN(15), Error: h.r.IntN(15), Drop: h.r.IntN(15), ErrorAfter: h.r.IntN(15), Partial: h.r.IntN(15),
				Unavailable: h.r.IntN(10), Credentials: h.r.IntN(10)})
		}
	case n < 14:
		h.crash = append([]string{"", ""}, faultBeforeSend, faultAfterSend, faultAfterBook)[h.r.IntN(5)]
	case n < 15:
		h.clock.Advance(time.Duration(h.r.IntN(300)) * time.Minute)
	default:
		h.clock.Advance(time.Duration(h.r.IntN(30)) * time.Minute)
		h.pass()
	}
}

// TestADayOfFaults: a day, 100 entitlements, 10 % of all calls failing in
// every way: nothing billed twice, nothing lost, and what is stuck is told
// with its reason and its deadline.
func TestADayOfFaults(t *testing.T) {
	t.Parallel()
	hours, n := 3, 30
	if long() {
		hours, n = 24, 100
	} else if testing.Short() {
		hours, n = 1, 10
	}
	h := newHistory(t, fixedtest.Seed(t), n)
	for _, cloud := range clouds {
		h.m.SetFaults(cloud, simulator.Faults{Throttle: 2, Error: 2, Drop: 2, ErrorAfter: 1, Partial: 1, Unavailable: 1, Credentials: 1})
	}
	for range hours {
		for range 2 * n {
			h.postRandom()
		}
		for range 6 {
			h.clock.Advance(10 * time.Minute)
			h.pass()
		}
		h.check()
	}
	h.settle(45)
}

// dump tells all that is known of what an entitlement has open.
func (h *history) dump(entitlement string) {
	ctx := context.Background()
	page, err := h.records.RecordGroups(ctx, org, billing.RecordGroupFilter{From: ten.AddDate(0, -1, 0), To: ten.AddDate(1, 0, 0), Entitlement: entitlement}, 0, 1000)
	h.must(err)
	for _, g := range page.Items {
		if g.Status == billing.GroupReported || g.Status == billing.GroupDeleted {
			continue
		}
		h.t.Logf("%s %s usage %s settled %v report %q records %v: %s", g.ID, g.Status, g.Usage, g.Settled, g.Report, g.Records, g.Message)
		if g.Report == "" {
			continue
		}
		report, err := h.records.Report(ctx, org, g.Report)
		h.must(err)
		details, err := h.records.ReportDetails(ctx, org, []billing.Report{report})
		h.must(err)
		for _, p := range details[0].Portions {
			h.t.Logf("   %s %s sent %s of %s in %s", p.Dimension, p.State, p.Sent, p.Usage, p.Hour)
		}
		for _, l := range details[0].Lines {
			h.t.Logf("   line %s %s maybe %v grace %v deadline %s attempts %d: %s", l.Dimension, l.State, l.Maybe, l.Grace, l.Deadline, l.Attempts, l.Message)
		}
	}
}
