package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

var nounCases = []testCase{
	{"a document is applied, read and exported", documentApplied},
	{"a document that is applied again changes nothing", documentAgain},
	{"an export makes the same catalog elsewhere", documentExported},
	{"a dry run tells the difference and makes none", documentDryRun},
	{"what a document does not have stays, or is removed by pruning", documentPruned},
	{"a document with a wrong reference changes nothing", documentRefused},
	{"ids that exist once are not another customer's", documentOwners},
	{"a document says whose it is", documentOrganization},
	{"history keeps what was removed and what was changed", nounHistory},
	{"a change holds from when it says", nounEffective},
	{"agents are counted from when they are effective", agentsEffective},
	{"contracts have terms, and events find their contract", contractTerms},
	{"nouns are edited one by one", nounsEdited},
	{"each change of a noun leaves an audit entry", nounsAudited},
	{"organizations do not see each other's nouns", nounsApart},
	{"another process's change is seen", nounsShared},
	{"an organization has so many nouns and no more", nounsLimited},
	{"nouns are created, patched and removed one by one", nounsOneByOne},
	{"nouns are read of one instant", nounsReadTogether},
	{"more nouns than one statement writes are changed", manyNouns},
}

const sample = `
organization: {customer_attribute: account}
meters:
- {key: requests, event_type: edge, aggregation: COUNT, group_by: [customer, service, region]}
- {key: p95, event_type: edge, aggregation: PERCENTILE, value: bytes, rate: true, group_by: [customer, contract]}
products:
- id: cdn
  usage_types:
  - {name: Hits, meter: requests, where: {region: na}, scale: "0.5", billable: true}
  - {name: Mbps, meter: p95, surfaces: [akamai]}
- {id: waf, name: Firewall}
units:
  cloud: {meter: requests}
  rates: {ping: {cloud: "1.5", per: timeout_s}}
customers:
- id: acme
  account_id: A-1
  cycle_day: 5
  services: [{id: s2, name: two}, {id: s1, name: one}]
  contracts:
  - id: K-1
    starts: 2020-01-01
    customers: [beta]
    terms:
    - {products: [cdn], regions: GLOBAL}
    - {from: 2026-02-16, products: [cdn, waf], regions: {attribute: region}}
  cp_codes: [{id: 10, contract: K-1, product: cdn}, {id: 9, name: nine, contract: K-1}]
  reporting_groups: [{id: 100, cp_codes: [9, 10]}]
  account_groups: [{aid: "7", name: Web}]
  agents: [{id: a1, kind: enterprise, account_group: "7"}]
  tests: [{id: t1, type: ping, account_group: "7", interval_s: 60, agents: [a1], cloud_agents: 2}]
  quota: {cloud_units: 5}
- id: beta
  pricing: legacy
entitlements:
- {id: e1, customer: acme, partner: AWS, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, meter: requests}]}
`

func (b *bench) parse(text string) *catalog.Document {
	b.Helper()
	doc, err := catalog.ParseDocument([]byte(text))
	b.must(err)
	return doc
}

// fields are those of a noun.
func (b *bench) fields(text string) catalog.NounFields {
	b.Helper()
	given, err := catalog.ReadNoun(b.ctx, []byte(text))
	b.must(err)
	return given
}

// apply applies a text to an organization and wants so many changes of nouns.
func (b *bench) apply(organization, text string, opt catalog.ApplyOptions, changes int) catalog.Diff {
	b.Helper()
	opt.Actor = actor
	d, err := b.store.Apply(b.ctx, organization, b.parse(text), opt)
	b.must(err)
	if len(d.Changes) != changes {
		b.Fatalf("%d changes, want %d: %s", len(d.Changes), changes, told(d))
	}
	return d
}

// meters copies a document's meters, as the ledger would have them.
func (b *bench) meters(organization, text string) {
	b.Helper()
	sequence, err := b.store.MetersSequence(b.ctx, organization)
	b.must(err)
	for _, m := range b.parse(text).Meters {
		sequence++
		definition, err := jsonOf(m.Normalize())
		b.must(err)
		b.must(b.store.PutMeter(b.ctx, store.MeterCopy{Organization: organization, Key: m.Key, Definition: definition, Sequence: sequence}, actor))
	}
}

func (b *bench) view(organization string) *catalog.View {
	b.Helper()
	v, err := b.store.View(b.ctx, organization)
	b.must(err)
	return v
}

func (b *bench) export(organization string) string {
	b.Helper()
	doc, err := b.store.Export(b.ctx, organization)
	b.must(err)
	text, err := yaml.Marshal(doc)
	b.must(err)
	return string(text)
}

const sampleNouns = 15

// sampled makes an organization with the sample.
func (b *bench) sampled(id string) {
	b.Helper()
	b.organization(id)
	b.meters(id, sample)
	b.apply(id, sample, catalog.ApplyOptions{}, sampleNouns)
}

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func documentApplied(b *bench) {
	b.organization("a")
	d := b.apply("a", sample, catalog.ApplyOptions{}, sampleNouns)
	if len(d.Meters.Create) != 2 || d.Organization == nil || d.Organization.CustomerAttribute != "account" {
		b.Errorf("difference %+v", d)
	}
	o, err := b.store.Organization(b.ctx, "a")
	b.must(err)
	if o.CustomerAttribute != "account" || o.Name != "a" {
		b.Errorf("organization %+v", o)
	}
	for range 2 {
		v := b.view("a")
		c, ok := v.CustomerByAccount("A-1")
		if !ok || c.ID != "acme" || c.CycleDay != 5 || c.Quota.CloudUnits != 5 || c.Services[0].Name != "one" || c.CPCodes[0].ID != 9 {
			b.Errorf("customer %+v", c)
		}
		if by, _ := v.CustomerByAID("7"); by != c {
			b.Errorf("by aid: %+v", by)
		}
		if beta, ok := v.Customer("beta"); !ok || beta.Pricing != catalog.PricingLegacy || beta.CycleDay != 1 || len(v.Customers()) != 2 {
			b.Errorf("beta: %+v", beta)
		}
		if p, ok := v.Product("cdn"); !ok || p.Name != "cdn" || p.UsageTypes[0].ScaleDecimal().String() != "0.5" || len(v.Products()) != 2 {
			b.Errorf("product %+v", p)
		}
		if u := v.Units(); u.Cloud.Meter != "requests" || u.Rates["ping"].CloudDecimal().String() != "1.5" {
			b.Errorf("units %+v", u)
		}
		if code, customer, ok := v.CPCode(9); !ok || customer != "acme" || code.Name != "nine" {
			b.Errorf("code %+v of %s", code, customer)
		}
		if g, customer, ok := v.ReportingGroup(100); !ok || customer != "acme" || !slices.Equal(g.CPCodes, []int64{9, 10}) {
			b.Errorf("group %+v of %s", g, customer)
		}
		if tests := v.TestsOf("acme", day("1999-01-01")); len(tests) != 1 || !tests[0].Enabled {
			b.Errorf("tests %+v: a noun holds for all times", tests)
		}
		for name, ok := range map[string]bool{
			"customer": second(v.Customer("x")), "account": second(v.CustomerByAccount("")), "aid": second(v.CustomerByAID("")),
			"product": second(v.Product("x")),
		} {
			if ok {
				b.Errorf("there is an unknown %s", name)
			}
		}
		b.reopen(b.limit)
	}
}

func second[T any](_ T, ok bool) bool { return ok }

func documentAgain(b *bench) {
	b.sampled("a")
	before := len(b.audit("a"))
	b.clock.Advance(time.Hour)
	for _, prune := range []bool{false, true} {
		d := b.apply("a", sample, catalog.ApplyOptions{Prune: prune}, 0)
		if !d.Empty() {
			b.Errorf("difference %+v", d)
		}
		d = b.apply("a", b.export("a"), catalog.ApplyOptions{Prune: prune}, 0)
		if !d.Empty() {
			b.Errorf("difference of the export %+v", d)
		}
	}
	if after := len(b.audit("a")); after != before {
		b.Errorf("%d audit entries, want %d", after, before)
	}
}

func documentExported(b *bench) {
	b.sampled("a")
	b.clock.Advance(time.Hour)
	text := b.export("a")
	b.organization("b")
	b.meters("b", text)
	b.apply("b", text, catalog.ApplyOptions{}, sampleNouns)
	if got, want := b.export("b"), strings.Replace(text, "name: a\n", "name: b\n", 1); got != text && got != want {
		b.Errorf("exported\n%s\nbecame\n%s", text, got)
	}
}

func documentDryRun(b *bench) {
	b.organization("a")
	b.meters("a", sample)
	audits := len(b.audit("a"))
	d := b.apply("a", sample, catalog.ApplyOptions{DryRun: true}, sampleNouns)
	if d.Changes[0].Action != catalog.AuditCreate || d.Changes[0].Noun != catalog.NounProduct || d.Changes[0].Before != nil || !strings.Contains(string(d.Changes[0].After), `"cdn"`) {
		b.Errorf("first change %+v", d.Changes[0])
	}
	if len(b.view("a").Customers()) != 0 || len(b.audit("a")) != audits {
		b.Error("the dry run changed something")
	}
	o, err := b.store.Organization(b.ctx, "a")
	b.must(err)
	if o.CustomerAttribute != "subject" {
		b.Error("the dry run changed the organization")
	}
}

func documentPruned(b *bench) {
	b.sampled("a")
	part := "customers: [{id: beta, name: Beta, services: [{id: x}]}]"
	d := b.apply("a", part, catalog.ApplyOptions{}, 2)
	if d.Changes[0].Action != catalog.AuditUpdate || !strings.Contains(string(d.Changes[0].Before), "legacy") {
		b.Errorf("%+v", d.Changes[0])
	}
	if len(b.view("a").Customers()) != 2 {
		b.Error("a customer was removed without pruning")
	}
	b.clock.Advance(time.Hour)
	d = b.apply("a", part, catalog.ApplyOptions{Prune: true}, sampleNouns-1)
	for _, c := range d.Changes {
		if c.Action != catalog.AuditDelete || c.After != nil {
			b.Errorf("%+v", c)
		}
	}
	v := b.view("a")
	if len(v.Customers()) != 1 || v.Units() != nil || len(v.Products()) != 0 || len(d.Meters.Remove) != 0 {
		b.Errorf("%d customers, %d products, %+v", len(v.Customers()), len(v.Products()), d.Meters)
	}
	d = b.apply("a", "meters: [{key: p95, event_type: edge, aggregation: PERCENTILE, value: bytes, rate: true, group_by: [contract, customer], unit: bit}]",
		catalog.ApplyOptions{Prune: true, DryRun: true}, 2)
	if len(d.Meters.Update) != 1 || !slices.Equal(d.Meters.Remove, []string{"requests"}) || len(d.Meters.Create) != 0 {
		b.Errorf("meters %+v", d.Meters)
	}
	b.clock.Advance(time.Hour)
	b.apply("a", sample, catalog.ApplyOptions{}, sampleNouns)
}

func documentRefused(b *bench) {
	b.sampled("a")
	before, audits := b.export("a"), len(b.audit("a"))
	for text, want := range map[string]string{
		"customers:\n- id: new\n- id: beta\n  cp_codes:\n  - {id: 3, contract: K-9}":       `line 5: customers[1].cp_codes[0].contract: customer beta has no contract "K-9"`,
		"products:\n- id: new\n  usage_types: [{name: x, meter: requests, where: {a: b}}]": `line 3: products[0].usage_types[0].where.a: meter requests does not group by "a"`,
		"customers: [{id: new}]\nmeters:\n- {key: p95, event_type: x, aggregation: COUNT}": "line 3: meters[0]: meter p95 exists with another definition",
	} {
		_, err := b.store.Apply(b.ctx, "a", b.parse(text), catalog.ApplyOptions{Actor: actor})
		b.wantKind(err, meter.KindInvalid)
		if !strings.Contains(err.Error(), want) {
			b.Errorf("%v, want %s", err, want)
		}
	}
	// Pruning would leave what the document does not have without its products.
	_, err := b.store.Apply(b.ctx, "a", b.parse("customers: [{id: c, contracts: [{id: K-1, terms: [{products: [cdn], regions: GLOBAL}]}]}]"), catalog.ApplyOptions{Actor: actor, Prune: true})
	b.wantKind(err, meter.KindInvalid)
	_, err = b.store.Apply(b.ctx, "a", b.parse(""), catalog.ApplyOptions{})
	b.wantKind(err, meter.KindInvalid)
	_, err = b.store.Apply(b.ctx, "a", b.parse(""), catalog.ApplyOptions{Actor: actor, Effective: b.clock.Now().Add(time.Second)})
	b.wantKind(err, meter.KindInvalid)
	if b.export("a") != before || len(b.audit("a")) != audits {
		b.Error("something changed")
	}
}

func documentOwners(b *bench) {
	b.sampled("a")
	for _, text := range []string{
		"customers: [{id: c, account_id: A-1}]",
		"customers: [{id: c, contracts: [{id: K-1}]}]",
		"customers: [{id: beta, cp_codes: [{id: 9, contract: K-1}]}]",
		"customers: [{id: c, reporting_groups: [{id: 100}]}]",
		`customers: [{id: c, account_groups: [{aid: "7"}]}]`,
	} {
		_, err := b.store.Apply(b.ctx, "a", b.parse(text), catalog.ApplyOptions{Actor: actor})
		b.wantKind(err, meter.KindInvalid)
		if !strings.Contains(err.Error(), "is customer acme's") {
			b.Errorf("%s: %v", text, err)
		}
	}
	// Services, agents and tests have ids of their own in each customer.
	b.apply("a", "customers: [{id: beta, pricing: legacy, services: [{id: s1}]}]", catalog.ApplyOptions{}, 1)
}

func documentOrganization(b *bench) {
	b.organization("a")
	b.organization("b")
	b.apply("a", "organization: {id: a, name: New}", catalog.ApplyOptions{}, 0)
	_, err := b.store.Apply(b.ctx, "a", b.parse("organization: {id: b}"), catalog.ApplyOptions{Actor: actor})
	b.wantKind(err, meter.KindInvalid)
	_, err = b.store.Apply(b.ctx, "c", b.parse(""), catalog.ApplyOptions{Actor: actor})
	b.wantKind(err, meter.KindNotFound)
	_, err = b.store.View(b.ctx, "c")
	b.wantKind(err, meter.KindNotFound)
	_, err = b.store.Export(b.ctx, "c")
	b.wantKind(err, meter.KindNotFound)
	o, err := b.store.Organization(b.ctx, "a")
	b.must(err)
	if o.Name != "New" || len(b.audit("a")) != 2 {
		b.Errorf("%+v, %d audit entries", o, len(b.audit("a")))
	}
}

func nounsEdited(b *bench) {
	b.sampled("a")
	b.clock.Advance(time.Hour)
	opt := catalog.ApplyOptions{Actor: actor}
	d, err := b.store.Edit(b.ctx, "a", opt, func(doc *catalog.Document) error {
		doc.Customers[0].Agents[0].Enabled = false
		doc.Customers[0].Services = doc.Customers[0].Services[1:]
		return nil
	})
	b.must(err)
	if len(d.Changes) != 2 || d.Changes[0].Noun != catalog.NounAgent || d.Changes[1].Action != catalog.AuditDelete || d.Changes[1].ID != "s1" {
		b.Fatalf("%+v", d)
	}
	v := b.view("a")
	if got := v.AgentsCounted("acme", b.clock.Now().Add(-2*time.Hour), b.clock.Now().Add(time.Hour)); len(got) != 1 || !got[0].To.Equal(b.clock.Now()) {
		b.Errorf("counted %+v", got)
	}
	_, err = b.store.Edit(b.ctx, "a", opt, func(doc *catalog.Document) error {
		doc.Products = doc.Products[1:]
		return nil
	})
	b.wantKind(err, meter.KindInvalid) // it is used
	stop := errors.New("stop")
	_, err = b.store.Edit(b.ctx, "a", opt, func(*catalog.Document) error { return stop })
	if !errors.Is(err, stop) {
		b.Error(err)
	}
}

func nounsAudited(b *bench) {
	b.sampled("a")
	before := len(b.audit("a"))
	b.clock.Advance(time.Hour)
	b.apply("a", "customers: [{id: acme, name: ACME, account_id: A-1, cycle_day: 5, quota: {cloud_units: 5}, services: [{id: s1, name: uno}]}]", catalog.ApplyOptions{}, 2)
	entries := b.audit("a")[before:]
	if len(entries) != 2 {
		b.Fatalf("%d entries", len(entries))
	}
	e := entries[1]
	if e.Actor != actor || e.Action != catalog.AuditUpdate || e.Noun != catalog.NounService || e.ID != "acme/s1" || !e.Time.Equal(b.clock.Now()) {
		b.Errorf("%+v", e)
	}
	if string(e.Before) != `{"id":"s1","name":"one"}` || string(e.After) != `{"id":"s1","name":"uno"}` {
		b.Errorf("before %s, after %s", e.Before, e.After)
	}
}

func nounsApart(b *bench) {
	b.sampled("a")
	b.sampled("b")
	b.clock.Advance(time.Hour)
	b.apply("b", "customers: [{id: only}]", catalog.ApplyOptions{Prune: true}, sampleNouns+1)
	if len(b.view("a").Customers()) != 2 || len(b.view("b").Customers()) != 1 {
		b.Error("a change of one organization is seen in another")
	}
}

func nounsShared(b *bench) {
	b.sampled("a")
	first := b.view("a")
	if b.view("a") != first {
		b.Error("a view is read again without a change")
	}
	other, err := store.Open(b.ctx, b.dsn, store.Options{Clock: b.clock.Now})
	b.must(err)
	defer func() { b.must(other.Close()) }()
	_, err = other.Apply(b.ctx, "a", b.parse("customers: [{id: new}]"), catalog.ApplyOptions{Actor: actor})
	b.must(err)
	if _, ok := b.view("a").Customer("new"); !ok {
		b.Error("the change is not seen")
	}
	if _, ok := first.Customer("new"); ok {
		b.Error("an old view has changed")
	}
	for i := range 5 {
		b.apply("a", fmt.Sprintf("customers: [{id: n%d}]", i), catalog.ApplyOptions{}, 1)
		if _, ok := b.view("a").Customer(fmt.Sprintf("n%d", i)); !ok {
			b.Error("a change is not seen")
		}
	}
}

// told names a difference's changes.
func told(d catalog.Diff) string {
	var all []string
	for _, c := range d.Changes {
		all = append(all, fmt.Sprintf("%s %s %s/%s", c.Action, c.Noun, c.Customer, c.ID))
	}
	return strings.Join(all, ", ")
}
