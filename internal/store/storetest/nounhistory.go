package storetest

import (
	"encoding/json"
	"time"

	"odometer/internal/catalog"
)

func jsonOf(v any) (json.RawMessage, error) { return json.Marshal(v) }

func nounHistory(b *bench) {
	b.sampled("a")
	b.clock.Advance(24 * time.Hour)
	renamed := b.clock.Now()
	b.apply("a", `customers: [{id: acme, account_id: A-1, cycle_day: 5, quota: {cloud_units: 5}, services: [{id: s1, name: uno}],
  tests: [{id: t1, type: ping, account_group: "7", interval_s: 60, agents: [a1], cloud_agents: 2, enabled: false}]}]`, catalog.ApplyOptions{}, 2)
	b.clock.Advance(24 * time.Hour)
	removed := b.clock.Now()
	b.apply("a", "customers: [{id: acme, account_id: A-1, cycle_day: 5, quota: {cloud_units: 5}}, {id: beta, pricing: legacy}]", catalog.ApplyOptions{Prune: true}, sampleNouns-2)
	for range 2 {
		v := b.view("a")
		if got := v.ServiceName("acme", "s1"); got != "uno" {
			b.Errorf("the removed service is called %q", got)
		}
		if v.ServiceName("acme", "s9") != "s9" || v.ServiceName("x", "s1") != "s1" || v.AccountGroupName("acme", "7") != "Web" {
			b.Error("names of unknown services")
		}
		if !v.HasService("acme", "s1", removed.Add(-1)) || v.HasService("acme", "s1", removed) || v.HasService("beta", "s1", renamed) {
			b.Error("the service was the customer's until it was removed")
		}
		tests := v.TestsIn("acme", renamed.Add(-time.Hour), removed.Add(time.Hour))
		if len(tests) != 2 || !tests[0].Noun.Enabled || !tests[0].To.Equal(renamed) || tests[1].Noun.Enabled || !tests[1].To.Equal(removed) {
			b.Errorf("tests %+v", tests)
		}
		if len(v.TestsOf("acme", renamed)) != 1 || len(v.TestsOf("acme", removed)) != 0 {
			b.Error("tests at an instant")
		}
		c, customer, ok := v.Contract("K-1")
		if !ok || customer != "acme" || !c.Ends.Equal(removed) || !c.Valid(removed.Add(-1)) || c.Valid(removed) {
			b.Errorf("the removed contract is %+v of %s", c, customer)
		}
		if codes := v.CPCodeIn(9, renamed, removed.Add(time.Hour)); len(codes) != 1 || !codes[0].To.Equal(removed) {
			b.Errorf("codes %+v", codes)
		}
		if groups := v.ReportingGroupIn(100, removed, removed.Add(time.Hour)); len(groups) != 0 {
			b.Errorf("groups %+v", groups)
		}
		b.reopen(b.limit)
	}
}

func nounEffective(b *bench) {
	b.sampled("a")
	test := func(group string) string {
		return `customers: [{id: acme, account_id: A-1, cycle_day: 5, quota: {cloud_units: 5}, account_groups: [{aid: "7", name: Web}, {aid: "8"}],
  tests: [{id: t1, type: ping, account_group: "` + group + `", interval_s: 60, agents: [a1], cloud_agents: 2}]}]`
	}
	at := b.clock.Now().Add(-48 * time.Hour)
	b.clock.Advance(time.Hour)
	b.apply("a", test("8"), catalog.ApplyOptions{Effective: at}, 2)
	owners := func() string {
		var all string
		for _, h := range b.view("a").TestsIn("acme", at.Add(-time.Hour), at.Add(100*time.Hour)) {
			all += h.Noun.AccountGroup + " "
		}
		return all
	}
	if got := owners(); got != "7 8 " {
		b.Errorf("owners %s", got)
	}
	b.clock.Advance(time.Hour)
	b.apply("a", test("7"), catalog.ApplyOptions{}, 1)
	if got := owners(); got != "7 8 7 " {
		b.Errorf("owners %s", got)
	}
	// A change that holds from before replaces what was said of later.
	b.apply("a", test("8"), catalog.ApplyOptions{Effective: at.Add(time.Hour)}, 1)
	if got := owners(); got != "7 8 8 " {
		b.Errorf("owners %s", got)
	}
	// Two changes at one instant: the last holds.
	b.apply("a", test("7"), catalog.ApplyOptions{Effective: at.Add(time.Hour)}, 1)
	if got := owners(); got != "7 8 7 " {
		b.Errorf("owners %s", got)
	}
}

func agentsEffective(b *bench) {
	b.sampled("a")
	made := b.clock.Now()
	month, next := day("2026-03-01"), day("2026-04-01")
	agent := func(fields string) string {
		return `customers: [{id: acme, account_id: A-1, cycle_day: 5, quota: {cloud_units: 5}, agents: [{id: a1, kind: enterprise, account_group: "7"` + fields + `}]}]`
	}
	counted := func(want ...time.Time) {
		b.Helper()
		var got []time.Time
		for _, h := range b.view("a").AgentsCounted("acme", month, next) {
			got = append(got, h.From, h.To)
		}
		if len(got) != len(want) {
			b.Fatalf("counted %v, want %v", got, want)
		}
		for i := range got {
			if !got[i].Equal(want[i]) {
				b.Fatalf("counted %v, want %v", got, want)
			}
		}
	}
	counted(made, next)
	if all := b.view("a").AgentsOf("acme", month, next); len(all) != 1 || !all[0].From.Equal(month) {
		b.Errorf("%+v: an agent holds for all times, though it is not counted", all)
	}
	b.clock.Advance(24 * time.Hour)
	off := b.clock.Now()
	b.apply("a", agent(", enabled: false"), catalog.ApplyOptions{}, 1)
	counted(made, off)
	b.clock.Advance(24 * time.Hour)
	b.apply("a", agent(", effective: 2026-03-10"), catalog.ApplyOptions{}, 1)
	counted(made, off, day("2026-03-10"), next)
	b.apply("a", agent(", effective: 2026-03-10"), catalog.ApplyOptions{}, 0)
	b.apply("a", agent(""), catalog.ApplyOptions{}, 0)
	// Another instant says from when the change holds; the same one says nothing.
	b.clock.Set(day("2026-03-20"))
	b.apply("a", agent(", enabled: false, effective: 2026-03-15"), catalog.ApplyOptions{}, 1)
	counted(made, off, day("2026-03-10"), day("2026-03-15"))
	b.apply("a", agent(", effective: 2026-03-15"), catalog.ApplyOptions{}, 1)
	counted(made, off, day("2026-03-10"), day("2026-03-15"), day("2026-03-20"), next)
}

func contractTerms(b *bench) {
	b.sampled("a")
	v := b.view("a")
	feb, mar := day("2026-02-01"), day("2026-03-01")
	spans := v.TermsIn("K-1", feb, mar)
	if len(spans) != 2 || !spans[0].From.Equal(feb) || !spans[0].To.Equal(day("2026-02-16")) || !spans[1].To.Equal(mar) || !spans[0].Term.Regions.Global() || spans[1].Term.Regions.Global() {
		b.Errorf("%+v", spans)
	}
	if got := v.TermsIn("K-1", day("2019-12-01"), day("2020-02-01")); len(got) != 1 || !got[0].From.Equal(day("2020-01-01")) {
		b.Errorf("before the contract: %+v", got)
	}
	if len(v.TermsIn("K-1", day("2019-01-01"), day("2020-01-01"))) != 0 || len(v.TermsIn("K-9", feb, mar)) != 0 {
		b.Error("terms of nothing")
	}
	for _, c := range []struct {
		customer, product string
		at                time.Time
		ok                bool
	}{
		{"acme", "cdn", feb, true},
		{"beta", "cdn", feb, true}, // billed under it
		{"acme", "waf", feb, false},
		{"acme", "waf", mar, true},
		{"acme", "cdn", day("2020-01-01"), true},
		{"acme", "cdn", day("2020-01-01").Add(-1), false},
		{"other", "cdn", feb, false},
	} {
		if id, ok := v.ContractAt(c.customer, c.product, c.at); ok != c.ok || ok && id != "K-1" || v.ContractHas("K-1", c.customer, c.product, c.at) != ok {
			b.Errorf("%+v: %q, %v", c, id, ok)
		}
	}
	if got := v.ContractsOf("beta"); len(got) != 1 || got[0].ID != "K-1" {
		b.Errorf("%+v", got)
	}
	// Two that fit are none.
	b.apply("a", "customers: [{id: beta, pricing: legacy, contracts: [{id: K-0, terms: [{products: [cdn], regions: GLOBAL}]}]}]", catalog.ApplyOptions{}, 1)
	v = b.view("a")
	if _, ok := v.ContractAt("beta", "cdn", feb); ok || !v.ContractHas("K-0", "beta", "cdn", feb) || v.ContractHas("K-0", "acme", "cdn", feb) {
		b.Error("an event finds one of two contracts")
	}
}
