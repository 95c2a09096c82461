package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"odometer/internal/meter"
)

// example is the document that has every noun once.
func example(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustParse(t testing.TB, text string) *Document {
	t.Helper()
	doc, err := ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheExampleIsRead(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, string(example(t)))
	if len(doc.Meters) != 8 || len(doc.Products) != 1 || len(doc.Products[0].UsageTypes) != 5 || len(doc.Entitlements) != 3 {
		t.Fatalf("%+v", doc)
	}
	if u := doc.Products[0].UsageTypes[2]; u.Scale != "0.000008" || u.ScaleDecimal().String() != "0.000008" || u.ShownOn(surfaceFastly) || !u.ShownOn(surfaceAkamai) {
		t.Errorf("%+v", u)
	}
	c := doc.Customers[0]
	if c.CycleDay != 5 || c.Pricing != PricingUsage || c.Quota.CloudUnits != 4320000000 || c.Services[1] != (Service{"SU2", "blog"}) {
		t.Errorf("%+v", c)
	}
	terms := c.Contracts[0].Terms
	if !terms[0].Regions.Global() || terms[1].Regions.Attribute != "region" || terms[1].From.String() != "2026-10-16" {
		t.Errorf("%+v", terms)
	}
	if g := c.AccountGroups[0]; g.AID != "1234" {
		t.Errorf("%+v", g)
	}
	if e := doc.Entitlements[2]; e.Status != EntitlementActive || e.GCP.Metrics["gb_out"].Type != "INT64" || doc.Entitlements[0].AWS.Region != defaultAWSRegion {
		t.Errorf("%+v", e)
	}
	if err := scopeOf(doc, nil).check(doc).errIn(doc); err != nil {
		t.Error(err)
	}
}

// A document is the same after writing and reading, as YAML and as JSON.
func TestDocumentsRoundTrip(t *testing.T) {
	t.Parallel()
	want := mustParse(t, string(example(t)))
	for name, marshal := range map[string]func(any) ([]byte, error){"yaml": yaml.Marshal, "json": json.Marshal} {
		text, err := marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseDocument(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		again, err := marshal(got)
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%s: %v\n%s\nbecame\n%s", name, err, text, again)
		}
		got.lines = want.lines
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read back, the document differs", name)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, "customers: [{id: 7, agents: [{id: a, kind: enterprise, account_group: 1}], tests: [{id: t, type: x, account_group: 1, interval_s: 60, enabled: false}]}]")
	c := doc.Customers[0]
	if c.ID != "7" || c.Name != "7" || c.CycleDay != 1 || c.Pricing != PricingUsage || !c.Agents[0].Enabled || c.Tests[0].Enabled || c.Tests[0].Instant {
		t.Errorf("%+v", c)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "~", "{}", "customers:\n"} {
		doc := mustParse(t, empty)
		if doc.Customers != nil || doc.Organization != nil {
			t.Errorf("%q: %+v", empty, doc)
		}
	}
}

// Each wrong text gets an error that has the given part.
func TestWrongDocuments(t *testing.T) {
	t.Parallel()
	customer := func(fields string) string { return "customers:\n- id: c\n  " + fields }
	contract := func(fields string) string { return customer("contracts:\n  - id: k\n    " + fields) }
	for _, c := range []struct{ text, want string }{
		{"customers: 7", "line 1: customers: want a list"},
		{"[]", "line 1: want a mapping of fields"},
		{"customers:\n- id: c\n  nam: x", "line 3: customers[0].nam: there is no such field"},
		{"customers:\n- id: c\n  id: d", "line 3: customers[0].id: is given twice"},
		{"customers:\n- id: c\n- id: c", "line 3: customers[1].id: c is also that of customers[0]"},
		{"customers:\n- name: x", "line 2: customers[0].id: is required"},
		{"customers:\n-\n- id: c", "customers[0]: is empty"},
		{customer("cycle_day: 0"), "line 3: customers[0].cycle_day: 0 is not between 1 and 31"},
		{customer("cycle_day: 32"), "between 1 and 31"},
		{customer("cycle_day: 1.5"), "want a whole number"},
		{customer("cycle_day: '5'"), "want a whole number"},
		{customer("pricing: free"), `"free": want one of usage, legacy`},
		{customer("name: true"), "want a text"},
		{customer("name: [x]"), "want one value"},
		{customer("name: \"a\\nb\""), "without control characters"},
		{customer("name: &x y"), "anchors and aliases are not read"},
		{customer("account_id: x\n- id: d\n  account_id: x"), "line 5: customers[1].account_id: x is also that of customers[0]"},
		{customer("services: [{id: s}, {id: s}]"), "services[1].id: s is also that of"},
		{contract("starts: 2026-02-30"), `line 5: customers[0].contracts[0].starts: "2026-02-30" is not a date`},
		{contract("starts: 2026-02-01\n    ends: 2026-02-01"), "line 6: customers[0].contracts[0].ends: is not after its start"},
		{contract("terms:\n    - {from: 2026-02-01, products: [], regions: GLOBAL}\n    - {from: 2026-02-01, products: [], regions: GLOBAL}"),
			"line 7: customers[0].contracts[0].terms[1].from: is not after that of the term before"},
		{contract("starts: 2026-02-01\n    terms: [{from: 2026-01-31, products: [], regions: GLOBAL}]"), "is before the contract starts"},
		{contract("ends: 2026-02-01\n    terms: [{from: 2026-02-01, products: [], regions: GLOBAL}]"), "is not before the contract ends"},
		{contract("terms: [{products: [], regions: EU}]"), "want GLOBAL or {attribute: NAME}"},
		{contract("terms: [{products: [], regions: {attribut: x}}]"), "there is no such field"},
		{contract("terms: [{products: [p, p], regions: GLOBAL}]"), `"p" is given twice`},
		{contract("name: x"), "there is no such field"},
		{contract("starts: 2026-01-01\n- id: d\n  contracts: [{id: k}]"), "customers[1].contracts[0].id: k is also that of customers[0].contracts[0]"},
		{customer("cp_codes: [{id: -1, contract: k}]"), "want a whole number of at least 1"},
		{customer("cp_codes: [{id: 99999999999999999999, contract: k}]"), "want a whole number"},
		{customer("reporting_groups: [{id: 1, cp_codes: [2, 2]}]"), "2 is given twice"},
		{customer("agents: [{id: a, kind: robot, account_group: '1'}]"), `"robot": want one of enterprise`},
		{customer("tests: [{id: t, type: x, account_group: '1'}]"), "interval_s: 0 is not between"},
		{customer("quota: {cloud_units: -1}"), "quota.cloud_units: -1 is negative"},
		{"products: [{id: p, usage_types: [{name: a, meter: m, scale: x}]}]", "is not a JSON number"},
		{"products: [{id: p, usage_types: [{name: a, meter: m, scale: -1}]}]", "is negative"},
		{"products: [{id: p, usage_types: [{name: a, meter: m}, {name: a, meter: m}]}]", "a is also that of"},
		{"products: [{id: p, usage_types: [{name: a, meter: m, surfaces: [suger]}]}]", "want one of fastly, akamai"},
		{"products: [{id: p, usage_types: [{name: a, meter: m, where: {a: b, a: c}}]}]", "is given twice"},
		{"units: {rates: {x: {per: hour}}}", `units.rates.x.per: "hour"`},
		{"meters: [{key: m, event_type: t, aggregation: SUM}]", "line 1: meters[0]: value is required"},
		{"meters: [{key: m, event_type: t, aggregation: COUNT, filters: [[{attribute: a, op: IS, value: {x: 1}}]]}]", "value"},
		{"entitlements: [{id: e}]", "entitlements[0].customer: is required"},
		{"a: 1\n---\nb: 2", "more than one document"},
		{"a: [", "line 1"},
		{"a: &a [1]\nb: *a", "there is no such field"},
	} {
		_, err := ParseDocument([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%s\ngave %v, want %s", c.text, err, c.want)
		}
	}
}

// Each reference that leads nowhere is found, with its line.
func TestWrongReferences(t *testing.T) {
	t.Parallel()
	whole := string(example(t))
	for _, c := range []struct{ old, new, want string }{
		{"meter: edge_p95, unit", "meter: edge_p9, unit", `line 18: products[0].usage_types[2].meter: there is no meter "edge_p9"`},
		{"where: {region: na}", "where: {zone: na}", `meter edge_requests does not group by "zone"`},
		{"cloud: {meter: cloud_units}", "cloud: {meter: x}", `units.cloud.meter: there is no meter "x"`},
		{"customers: []", "customers: [nobody]", `there is no customer "nobody"`},
		{"products: [cdn_usage], regions: GLOBAL", "products: [x], regions: GLOBAL", `terms[0].products[0]: there is no product "x"`},
		{"contract: K-0N7RAK7, product", "contract: K, product", `has no contract "K"`},
		{"product: cdn_usage}]\n    rep", "product: x}]\n    rep", `cp_codes[0].product: there is no product "x"`},
		{"cp_codes: [7654321]", "cp_codes: [1]", "has no CP code 1"},
		{`kind: enterprise, account_group: "1234"`, `kind: enterprise, account_group: "1"`, `has no account group "1"`},
		{`Server, account_group: "1234"`, `Server, account_group: "1"`, `tests[0].account_group`},
		{`agents: ["11"]`, `agents: ["13"]`, `has no agent "13"`},
		{`agents: ["11"]`, `agents: ["12"]`, "agent 12 is of kind endpoint and runs no tests"},
		{"{id: ent-2, customer: x4xCwxxJxGCx123Rx5xTx", "{id: ent-2, customer: x", `entitlements[1].customer: there is no customer "x"`},
		{"partner: AZURE, product: cdn_usage", "partner: AZURE, product: x", `there is no product "x"`},
		{`included: "100", meter: edge_bytes`, `included: "100", meter: x`, `dimensions[0].meter: there is no meter "x"`},
	} {
		text := strings.Replace(whole, c.old, c.new, 1)
		if text == whole {
			t.Fatalf("the example has no %q", c.old)
		}
		doc := mustParse(t, text)
		err := scopeOf(doc, nil).check(doc).errIn(doc)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s gave %v, want %s", c.new, err, c.want)
		}
	}
}

// TestUnreadAndWrongAreToldTogether: what cannot be read does not hide what is
// wrong elsewhere, and what only follows from it is not told.
func TestUnreadAndWrongAreToldTogether(t *testing.T) {
	t.Parallel()
	_, err := ParseDocument([]byte(`meters: [{key: m, event_type: t, aggregation: MEDIAN, colour: red}, {key: n, event_type: 7, aggregation: {}}]
products:
- {id: p, usage_types: [{name: a, metre: m}, {name: a, meter: m}]}
customers:
- {id: [], cycle_day: 40}
- {id: c, pricing: x, tests: [{id: t, type: x, account_group: '1', interval_s: soon}]}
`))
	want := []string{
		`line 1: meters[0].colour: there is no such field`, `line 1: meters[1].aggregation: want one value`, `line 1: meters[0]: aggregation`,
		`line 3: products[0].usage_types[0].metre: there is no such field`, `line 3: products[0].usage_types[1].name: a is also that of`,
		`line 5: customers[0].id: want one value`, `line 5: customers[0].cycle_day: 40 is not between`,
		`line 6: customers[1].tests[0].interval_s: `, `line 6: customers[1].pricing: "x": want one of`,
	}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("%s\nwant %s", line, want[i])
		}
	}
	many := strings.Repeat("- {id: a, nam: b}\n", MaxProblems+2)
	if _, err := ParseDocument([]byte("customers:\n" + many)); err == nil || !strings.HasSuffix(err.Error(), "\nand 2 more") {
		t.Errorf("%v", err)
	}
}

func TestManyProblemsAreOneError(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("customers:\n")
	for range MaxProblems + 5 {
		b.WriteString("- {name: x}\n")
	}
	_, err := ParseDocument([]byte(b.String()))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != MaxProblems+1 || !strings.Contains(lines[MaxProblems], "more") {
		t.Errorf("%d lines: %v", len(lines), err)
	}
}

func TestDocumentSize(t *testing.T) {
	t.Parallel()
	text := append([]byte("# "), bytes.Repeat([]byte("x"), MaxDocumentBytes-2)...)
	if _, err := ParseDocument(text); err != nil {
		t.Error(err)
	}
	if _, err := ParseDocument(append(text, 'x')); meter.KindOf(err) != meter.KindTooLarge {
		t.Error(err)
	}
}

// Whatever is accepted has the same meaning after writing and reading.
func FuzzParseDocument(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte("customers: [{id: c, contracts: [{id: k, starts: 2026-01-01T01:02:03.000000004+02:00}]}]"))
	f.Add([]byte("units: {rates: {? [a] : {}}}"))
	f.Add([]byte("meters: [{key: m, event_type: t, aggregation: COUNT, filters: [[{attribute: a, op: IS, value: 0x10}]]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := ParseDocument(text)
		if err != nil {
			if k := meter.KindOf(err); k != meter.KindInvalid {
				t.Fatalf("%v is of kind %s", err, k)
			}
			return
		}
		_ = scopeOf(doc, nil).check(doc)
		first, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseDocument(first)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		second, err := yaml.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\nbecame\n%s", err, first, second)
		}
	})
}
