package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var meteringCases = []testCase{
	{"credits add up in order and are no part of a document", creditsAdded},
	{"a credit that cannot be given is refused", creditsRefused},
	{"a credit that is asked for again with its key is given once", creditsRepeated},
	{"a partner's metering configuration is replaced whole", configsReplaced},
	{"billable metrics are noted once", metricsNoted},
	{"entitlements are seen as they were", entitlementsSeen},
	{"an entitlement's term is the one of the instant", entitlementTerms},
}

func (b *bench) credit(amount string, once billing.Idempotency) billing.Credit {
	b.Helper()
	c, err := b.records.AddCredit(b.ctx, "a", "e1", number(amount), once, actor)
	b.must(err)
	return c
}

func creditsAdded(b *bench) {
	b.sampled("a")
	before := b.export("a")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := b.records.AddCredit(b.ctx, "a", "e1", number("0.000000000001"), billing.Idempotency{}, actor); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.clock.Advance(time.Hour)
	if c := b.credit("99999999999999999999999999.5", billing.Idempotency{}); c.Number != 5 || !c.Time.Equal(b.clock.Now()) || c.Actor != actor || c.Entitlement != "e1" {
		b.Errorf("%+v", c)
	}
	for _, limit := range []int{0, 1, 2} {
		all := pages(b, func(p catalog.Page) ([]billing.Credit, string, error) {
			page, err := b.records.Credits(b.ctx, "a", "e1", p)
			return page.Items, page.Next, err
		}, limit)
		if len(all) != 5 || all[0].Amount.String() != "0.000000000001" || all[4].Amount.String() != "99999999999999999999999999.5" || all[4].Number != 5 || all[0].Entitlement != "e1" {
			b.Errorf("%+v", all)
		}
	}
	if b.export("a") != before {
		b.Error("credits are in the export")
	}
	b.apply("a", sample, catalog.ApplyOptions{Prune: true}, 0)
	page, err := b.records.Credits(b.ctx, "a", "e1", catalog.Page{})
	b.must(err)
	if len(page.Items) != 5 {
		b.Error("applying a document changed credits")
	}
	entries := b.audit("a")
	if last := entries[len(entries)-1]; last.Noun != "credit" || last.ID != "e1/5" || !strings.Contains(string(last.After), `"99999999999999999999999999.5"`) {
		b.Errorf("%+v", last)
	}
	for _, other := range [][2]string{{"a", "e2"}, {"b", "e1"}} {
		page, err := b.records.Credits(b.ctx, other[0], other[1], catalog.Page{})
		b.must(err)
		if len(page.Items) != 0 {
			b.Errorf("%v: %+v", other, page)
		}
	}
}

func creditsRefused(b *bench) {
	b.sampled("a")
	for _, amount := range []string{"0", "-1", "100000000000000000000000000", "0.0000000000001"} {
		_, err := b.records.AddCredit(b.ctx, "a", "e1", number(amount), billing.Idempotency{}, actor)
		b.wantKind(err, meter.KindInvalid)
	}
	_, err := b.records.AddCredit(b.ctx, "a", "e1", number("1"), billing.Idempotency{}, "")
	b.wantKind(err, meter.KindInvalid)
	for _, other := range [][2]string{{"a", "e2"}, {"b", "e1"}, {"a", ""}} {
		_, err := b.records.AddCredit(b.ctx, other[0], other[1], number("1"), billing.Idempotency{}, actor)
		b.wantKind(err, meter.KindNotFound)
	}
	_, err = b.records.Credits(b.ctx, "a", "e1", catalog.Page{Cursor: "x"})
	b.wantKind(err, meter.KindInvalid)
}

func creditsRepeated(b *bench) {
	b.sampled("a")
	once := billing.Idempotency{Scope: "credit", Key: "k", Request: "r"}
	first := b.credit("5", once)
	b.clock.Advance(time.Hour)
	if again := b.credit("5", once); again.Number != first.Number || !again.Time.Equal(first.Time) || again.Entitlement != "e1" {
		b.Errorf("%+v, then %+v", first, again)
	}
	once.Request = "other"
	_, err := b.records.AddCredit(b.ctx, "a", "e1", number("6"), once, actor)
	b.wantKind(err, meter.KindConflict)
}

func configsReplaced(b *bench) {
	b.organization("a")
	put := func(configs ...billing.MeteringConfig) string {
		b.Helper()
		all, err := b.records.PutMeteringConfigs(b.ctx, "a", configs, actor)
		b.must(err)
		read, err := b.records.MeteringConfigs(b.ctx, "a")
		b.must(err)
		if fmt.Sprint(read) != fmt.Sprint(all) {
			b.Errorf("answered %+v, read %+v", all, read)
		}
		text, err := json.Marshal(all)
		b.must(err)
		return string(text)
	}
	if all, err := b.records.MeteringConfigs(b.ctx, "a"); err != nil || len(all) != 0 || all == nil {
		b.Errorf("%v, %v", all, err)
	}
	aws := billing.MeteringConfig{Partner: "AWS", EnableMapping: true, CommitFirst: true, OverageAtList: true, BillableDimension: true,
		Mapping:   map[string]billing.MappingValue{"x": {Dimension: "gb"}},
		MappingV2: map[string][]billing.MappingValue{"y": {{Dimension: "gb", Mode: "QUANTITY", Multiplier: "0.001"}, {Dimension: "usd", Mode: "AMOUNT"}}}}
	put(aws, billing.MeteringConfig{Partner: "GCP", CommitFirst: true})
	want := `[{"partner":"AWS","enable_mapping":true},{"partner":"GCP","commit_first":true}]`
	if got := put(billing.MeteringConfig{Partner: "AWS", EnableMapping: true}); got != want {
		b.Errorf("%s", got)
	}
	entries := b.audit("a")
	if last := entries[len(entries)-1]; last.Noun != "metering_config" || last.Action != catalog.AuditUpdate || !strings.Contains(string(last.Before), "0.001") {
		b.Errorf("%+v", last)
	}
	for _, bad := range [][]billing.MeteringConfig{{{}}, {{Partner: "AWS"}, {Partner: "AWS"}}} {
		_, err := b.records.PutMeteringConfigs(b.ctx, "a", bad, actor)
		b.wantKind(err, meter.KindInvalid)
	}
	_, err := b.records.PutMeteringConfigs(b.ctx, "b", nil, actor)
	b.wantKind(err, meter.KindNotFound)
}

func metricsNoted(b *bench) {
	b.organization("a")
	m := billing.BillableMetric{ID: strings.Repeat("m", billing.MaxMetricIDBytes), Definition: json.RawMessage(`{"key":"m"}`), Info: json.RawMessage(`{"groupBys":["os"]}`)}
	made, err := b.records.CreateBillableMetric(b.ctx, "a", m)
	b.must(err)
	_, err = b.records.CreateBillableMetric(b.ctx, "a", m)
	b.wantKind(err, meter.KindConflict)
	b.clock.Advance(time.Hour)
	b.must(b.records.TouchBillableMetric(b.ctx, "a", m.ID))
	b.must(b.records.TouchBillableMetric(b.ctx, "a", "unknown"))
	got, err := b.records.BillableMetric(b.ctx, "a", m.ID)
	b.must(err)
	if string(got.Definition) != string(m.Definition) || string(got.Info) != string(m.Info) || !got.Created.Equal(made.Created) || !got.Updated.Equal(b.clock.Now()) {
		b.Errorf("%+v", got)
	}
	second := m
	second.ID = "a"
	_, err = b.records.CreateBillableMetric(b.ctx, "a", second)
	b.must(err)
	all, err := b.records.BillableMetrics(b.ctx, "a")
	b.must(err)
	if len(all) != 2 || all[0].ID != m.ID || all[1].ID != "a" {
		b.Errorf("%+v", all)
	}
	b.must(b.records.DropBillableMetric(b.ctx, "a", "a"))
	_, err = b.records.BillableMetric(b.ctx, "a", "a")
	b.wantKind(err, meter.KindNotFound)
	second.ID = m.ID + "m"
	_, err = b.records.CreateBillableMetric(b.ctx, "a", second)
	b.wantKind(err, meter.KindInvalid)
	_, err = b.records.CreateBillableMetric(b.ctx, "b", m)
	b.wantKind(err, meter.KindNotFound)
}

func entitlementsSeen(b *bench) {
	b.sampled("a")
	changed := b.clock.Now().Add(time.Hour)
	b.clock.Set(changed)
	b.apply("a", `entitlements: [{id: e1, customer: acme, buyer: {id: b-1}, partner: AWS, product: cdn, status: suspended, starts: 2025-01-01, dimensions: [{key: gb, unit_price: "2"}]}]`,
		catalog.ApplyOptions{}, 1)
	v := b.view("a")
	for at, want := range map[time.Time]string{day("2026-01-15"): "active", changed.Add(-time.Microsecond): "active", changed: "suspended", changed.Add(time.Hour): "suspended"} {
		e, ok := v.EntitlementAt("e1", at)
		if !ok || e.Status != want || e.ActiveAt(at) != (want == "active") || e.Dimensions[0].Meter != map[string]string{"active": "requests"}[want] {
			b.Errorf("at %s: %+v", at, e)
		}
	}
	if e, ok := v.EntitlementAt("e1", day("2025-06-01")); !ok || !e.ActiveAt(day("2025-06-01")) {
		b.Errorf("dates that are corrected later: %+v", e)
	}
	e, ok := v.Entitlement("e1")
	if !ok || e.BuyerID() != "b-1" || e.Dimensions[0].UnitPriceDecimal().String() != "2" || e.Dimensions[0].ScaleDecimal().String() != "1" {
		b.Errorf("%+v", e)
	}
	if old, _ := v.EntitlementAt("e1", day("2026-01-15")); old.BuyerID() != "acme" {
		b.Errorf("buyer %s", old.BuyerID())
	}
	if d, ok := e.Dimension("gb"); !ok || d.Key != "gb" || d.ListPriceDecimal().Sign() != 0 || d.IncludedDecimal().Sign() != 0 {
		b.Errorf("%+v", d)
	}
	if _, ok := e.Dimension("x"); ok {
		b.Error("a dimension that is not there")
	}
	if got := v.EntitlementsOf("acme"); len(got) != 1 || got[0] != e || len(v.EntitlementsOf("beta")) != 0 {
		b.Errorf("%v", got)
	}
	if got := v.EntitlementsOfBuyer("b-1"); len(got) != 1 || got[0] != e || len(v.EntitlementsOfBuyer("acme")) != 0 {
		b.Errorf("%v", got)
	}
	b.clock.Advance(time.Hour)
	removed := b.clock.Now()
	b.apply("a", "customers: [{id: acme}]\nentitlements: []", catalog.ApplyOptions{Prune: true}, 15)
	v = b.view("a")
	if _, ok := v.Entitlement("e1"); ok {
		b.Error("a removed entitlement is there now")
	}
	if _, ok := v.EntitlementAt("e1", removed); ok {
		b.Error("a removed entitlement is there after")
	}
	if _, ok := v.EntitlementAt("e1", removed.Add(-time.Microsecond)); !ok {
		b.Error("a removed entitlement is not there before")
	}
}

func entitlementTerms(b *bench) {
	date := func(text string) catalog.Date { return catalog.Date{Time: day(text)} }
	plain := catalog.Entitlement{ID: "e", Status: catalog.EntitlementActive, Starts: date("2026-01-01"), Ends: date("2027-01-01")}
	two := plain
	two.Terms = []catalog.EntitlementTerm{{ID: "t1", Ends: date("2026-03-01"), Commit: "7.5"}, {ID: "t2", Starts: date("2026-04-01")}}
	for _, c := range []struct {
		e        catalog.Entitlement
		at, want string
	}{
		{plain, "2025-12-31", ""}, {plain, "2026-01-01", "e"}, {plain, "2026-12-31", "e"}, {plain, "2027-01-01", ""},
		{two, "2025-12-31", ""}, {two, "2026-01-01", "t1"}, {two, "2026-02-28", "t1"}, {two, "2026-03-01", ""}, {two, "2026-04-01", "t2"}, {two, "2027-01-01", ""},
	} {
		term, ok := c.e.TermAt(day(c.at))
		if term.ID != c.want || ok != (c.want != "") || c.e.ActiveAt(day(c.at)) != ok {
			b.Errorf("%s: %+v, %v", c.at, term, ok)
		}
	}
	if term, _ := two.TermAt(day("2026-01-01")); term.CommitDecimal().String() != "7.5" || !term.Starts.Equal(day("2026-01-01")) {
		b.Errorf("%+v", term)
	}
}
