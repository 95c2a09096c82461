package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var periodCases = []testCase{
	{"a closed month keeps its figures, also after a restart", periodStays},
	{"a month is closed once, also among concurrent closings", periodOnce},
	{"a month that cannot be closed is refused", periodRefused},
	{"months of several customers are closed together or not at all", periodsTogether},
	{"customers keep when they were created", customersCreated},
	{"closed months are listed in pages, each customer's own", periodPages},
}

func (b *bench) closeMonth(organization, customer, month string) (catalog.Period, error) {
	return b.store.ClosePeriod(b.ctx, organization, catalog.Period{Customer: customer, Month: month, Sequence: 7, Figures: json.RawMessage(`{"p95": "1.50"}`)}, actor)
}

func periodStays(b *bench) {
	b.sampled("a")
	made, err := b.closeMonth("a", "acme", "2026-02")
	b.must(err)
	if !made.Closed.Equal(b.clock.Now()) {
		b.Errorf("%+v", made)
	}
	b.clock.Advance(time.Hour)
	_, err = b.closeMonth("a", "acme", "2026-02")
	b.wantKind(err, meter.KindConflict)
	for range 2 {
		got, closed, err := b.store.Period(b.ctx, "a", "acme", "2026-02")
		b.must(err)
		if !closed || string(got.Figures) != `{"p95": "1.50"}` || got.Sequence != 7 || !got.Closed.Equal(made.Closed) {
			b.Errorf("%v: %+v", closed, got)
		}
		for _, other := range [][3]string{{"a", "acme", "2026-01"}, {"a", "beta", "2026-02"}, {"b", "acme", "2026-02"}, {"a", "x", ""}} {
			if got, closed, err := b.store.Period(b.ctx, other[0], other[1], other[2]); closed || err != nil {
				b.Errorf("%v: %+v, %v", other, got, err)
			}
		}
		b.reopen(b.limit)
	}
	entries := b.audit("a")
	last := entries[len(entries)-1]
	if last.Noun != "period" || last.ID != "acme/2026-02" || last.Action != catalog.AuditCreate || strings.Contains(string(last.After), "figures") {
		b.Errorf("%+v", last)
	}
}

func periodOnce(b *bench) {
	b.sampled("a")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = b.closeMonth("a", "acme", "2026-01") })
	}
	wg.Wait()
	b.oneDid(errs, "closed")
}

func periodRefused(b *bench) {
	b.sampled("a")
	good := catalog.Period{Customer: "acme", Month: "2026-02", Figures: json.RawMessage("{}")}
	for name, edit := range map[string]func(p *catalog.Period){
		"not ended":   func(p *catalog.Period) { p.Month = "2026-03" },
		"no month":    func(p *catalog.Period) { p.Month = "2026-13" },
		"a day":       func(p *catalog.Period) { p.Month = "2026-02-01" },
		"no customer": func(p *catalog.Period) { p.Customer = "" },
		"no JSON":     func(p *catalog.Period) { p.Figures = json.RawMessage("{") },
		"no figures":  func(p *catalog.Period) { p.Figures = nil },
		"sequence":    func(p *catalog.Period) { p.Sequence = math.MaxInt64 + 1 },
	} {
		bad := good
		edit(&bad)
		_, err := b.store.ClosePeriod(b.ctx, "a", bad, actor)
		if meter.KindOf(err) != meter.KindInvalid {
			b.Errorf("%s: %v", name, err)
		}
	}
	_, err := b.store.ClosePeriod(b.ctx, "a", good, "")
	b.wantKind(err, meter.KindInvalid)
	_, err = b.closeMonth("a", "x", "2026-02")
	b.wantKind(err, meter.KindNotFound)
	_, err = b.closeMonth("b", "acme", "2026-02")
	b.wantKind(err, meter.KindNotFound)
	// To the instant: February ends when March begins.
	b.clock.Set(day("2026-03-01").Add(-time.Microsecond))
	_, err = b.closeMonth("a", "acme", "2026-02")
	b.wantKind(err, meter.KindInvalid)
	b.clock.Set(day("2026-03-01"))
	_, err = b.closeMonth("a", "acme", "2026-02")
	b.must(err)
	// A customer that was removed has months still.
	b.apply("a", "customers: [{id: beta, pricing: legacy}]", catalog.ApplyOptions{Prune: true}, sampleNouns-1)
	_, err = b.closeMonth("a", "acme", "2026-01")
	b.must(err)
}

func periodsTogether(b *bench) {
	b.sampled("a")
	of := func(customers ...string) []catalog.Period {
		var out []catalog.Period
		for _, customer := range customers {
			out = append(out, catalog.Period{Customer: customer, Month: "2026-02", Sequence: 7, Figures: json.RawMessage(`{"of": "` + customer + `"}`)})
		}
		return out
	}
	entries := len(b.audit("a"))
	for _, bad := range [][]catalog.Period{of("acme", "x"), of("acme", "beta", "acme"), {of("acme")[0], {Customer: "beta", Month: "2026-02"}}} {
		if made, err := b.store.ClosePeriods(b.ctx, "a", bad, actor); err == nil || made != nil {
			b.Errorf("%+v were made of %+v", made, bad)
		}
	}
	closed, err := b.store.CustomersClosed(b.ctx, "a", "2026-02")
	b.must(err)
	if got := len(b.audit("a")); got != entries || len(closed) != 0 {
		b.Errorf("%d entries of %d, closed for %v", got, entries, closed)
	}
	_, err = b.store.ClosePeriods(b.ctx, "a", of("beta", "acme"), actor)
	b.must(err)
	_, err = b.store.ClosePeriods(b.ctx, "a", of("acme"), actor)
	b.wantKind(err, meter.KindConflict)
	_, err = b.closeMonth("a", "acme", "2026-01")
	b.must(err)
	got := b.audit("a")
	for i, id := range []string{"beta/2026-02", "acme/2026-02", "acme/2026-01"} {
		if e := got[entries+i]; e.ID != id || e.Number != got[entries-1].Number+int64(i)+1 || strings.Contains(string(e.After), "figures") {
			b.Errorf("entry %+v", e)
		}
	}
	for _, customer := range []string{"acme", "beta"} {
		p, closed, err := b.store.Period(b.ctx, "a", customer, "2026-02")
		b.must(err)
		if !closed || string(p.Figures) != `{"of": "`+customer+`"}` {
			b.Errorf("%+v", p)
		}
	}
	closed, err = b.store.CustomersClosed(b.ctx, "a", "2026-02")
	b.must(err)
	all, err := b.store.ClosedMonthsOf(b.ctx, "a", []string{"beta", "x", "acme"})
	b.must(err)
	if len(all) != 2 || len(all["beta"]) != 1 || len(all["acme"]) != 2 || all["acme"][1].Month != "2026-02" || !slices.Equal(closed, []string{"acme", "beta"}) {
		b.Errorf("%+v, closed for %v", all, closed)
	}
}

func periodPages(b *bench) {
	b.sampled("a")
	want := []string{"2025-10", "2025-11", "2025-12", "2026-01", "2026-02"}
	for _, month := range []string{"2026-01", "2025-12", "2026-02", "2025-10", "2025-11"} {
		_, err := b.closeMonth("a", "acme", month)
		b.must(err)
	}
	_, err := b.closeMonth("a", "beta", "2026-01")
	b.must(err)
	for _, limit := range []int{0, 1, 2, 5} {
		var got []string
		for _, p := range pages(b, func(p catalog.Page) ([]catalog.Period, string, error) {
			page, err := b.store.Periods(b.ctx, "a", "acme", p)
			return page.Items, page.Next, err
		}, limit) {
			got = append(got, p.Month)
		}
		if !slices.Equal(got, want) {
			b.Errorf("pages of %d: %v", limit, got)
		}
	}
	all, err := b.store.ClosedMonths(b.ctx, "a", "acme")
	b.must(err)
	if len(all) != len(want) || all[4].Month != want[4] || all[4].Sequence != 7 || len(all[4].Figures) != 0 {
		b.Errorf("%+v", all)
	}
	_, err = b.store.Periods(b.ctx, "a", "acme", catalog.Page{Cursor: "x"})
	b.wantKind(err, meter.KindInvalid)
	for _, c := range []struct {
		organization, from, to string
		months, customers      int
		want                   string
	}{
		{"a", "2025-12", "2026-01", 9, 9, "[{2025-12 [acme] false} {2026-01 [acme beta] false}]"},
		{"a", "2025-10", "2026-12", 2, 9, "[{2025-10 [acme] false} {2025-11 [acme] false}]"},
		{"a", "2026-01", "2026-01", 9, 1, "[{2026-01 [acme] true}]"},
		{"a", "2026-03", "2026-12", 9, 9, "[]"},
		{"b", "2025-01", "2026-12", 9, 9, "[]"},
	} {
		got, err := b.store.ClosedFor(b.ctx, c.organization, c.from, c.to, c.months, c.customers)
		if err != nil || fmt.Sprint(got) != c.want {
			b.Errorf("%+v: %v %v", c, got, err)
		}
	}
}

func customersCreated(b *bench) {
	b.sampled("a")
	first := b.clock.Now()
	b.clock.Advance(time.Hour)
	b.apply("a", "customers: [{id: later}, {id: acme, name: Other}]", catalog.ApplyOptions{}, 2)
	created, err := b.store.CustomersCreated(b.ctx, "a")
	b.must(err)
	if !created["acme"].Equal(first) || !created["beta"].Equal(first) || !created["later"].Equal(b.clock.Now()) || len(created) != 3 {
		b.Errorf("%v", created)
	}
	created, err = b.store.CustomersCreated(b.ctx, "x")
	b.must(err)
	if len(created) != 0 {
		b.Errorf("%v", created)
	}
}
