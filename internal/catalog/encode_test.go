package catalog

import (
	"reflect"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// oddTexts are ids that readers of YAML may take for something else than a text.
var oddTexts = []string{"<<", "=", "1e400", "-1e400", "2026-01-01 10:00:00 +1", "2026-01-01", "2026-01-01T10:00:00Z", "0o7", "007", "0x1F", "0b1", "1_000", "~", "yes", "No", "on", "OFF",
	"y", "N", "true", "False", "null", "Null", "NULL", ".inf", "-.INF", ".nan", ".NaN", "nan", "inf", "1", "-1", "+1", "1.0", "1.", ".5", "1:30", "190:20:30.15", "-", "--", "---", "...", "- a", "-a", "?", "? a",
	":", "a:", ": a", "a: b", "a:b", "#", "# a", "a #b", "a#b", "&a", "*a", "!a", "!!str a", "|", ">", "|-", "%a", "@a", "`a", "'", "\"", "'a'", "\"a\"", "a'b", "{", "}", "{a}", "[", "]", "[a]", ",", "a,b", ", a",
	" a", "a ", " ", "  a  ", "a  b", "\\", "\\n", "a\\u0041", "ä", "日本", "😀", "a\u00a0b", "\ufeffa", "a\u200bb", "a\u2028b", "a\u0085b", "e\u0301", "\ufffd", "1e1000000000", "12345678901234567890123456789", "0", "-0", "+.inf",
	"!binary", "!!binary gIGC", "a\u007fb", "key", "id", "GLOBAL", "5m", "90s", "1h", "5m5", "0.1", "1e3", "e3", "1,000", "(a)", "$a", "^a", "a&b", "a*", "a!", "a?", "a=b", "<", ">a", "a>", "a|b", "a%", "a@b", "a`b"}

// odd is a document whose texts are all one, wherever any text may stand.
func odd(text string) *Document {
	return &Document{
		Organization: &OrganizationSettings{ID: text, Name: text, CustomerAttribute: text},
		Meters: []meter.Meter{{Key: "m", Name: text, Description: text, EventType: text, Aggregation: meter.AggPercentile, Value: text, GroupBy: []string{text}, Unit: "u",
			Percentile: "99.9", Filters: [][]meter.Filter{{{Attribute: text, Op: meter.OpIs, Value: meter.StringValue(text)}}}}},
		Products: []Product{{ID: text, Name: text, UsageTypes: []UsageType{{Name: text, Meter: text, Where: map[string]string{text: text}, Unit: text, Scale: "0.5", Surfaces: []string{surfaceFastly}}}}},
		Units:    &Units{Cloud: &UnitMeter{text}, Rates: map[string]Rate{text: {Cloud: "1"}}},
		Customers: []Customer{{ID: text, Name: text, AccountID: text, CycleDay: 1, Pricing: PricingUsage, Services: []Service{{text, text}},
			Contracts:     []Contract{{ID: text, Customers: []string{text}, Terms: []Term{{Products: []string{text}, Regions: Regions{Attribute: text}}}}},
			CPCodes:       []CPCode{{7, text, text, text}},
			AccountGroups: []AccountGroup{{text, text}}, Agents: []Agent{{ID: text, Name: text, Kind: AgentEnterprise, AccountGroup: text}},
			Tests: []Test{{ID: text, Name: text, Type: text, AccountGroup: text, IntervalS: 60, Agents: []string{text}}}}},
		Entitlements: []Entitlement{{ID: text, Customer: text, Partner: PartnerGCP, Product: text, Status: EntitlementActive, Starts: must(ParseDate("2026-01-01")),
			Buyer: &Buyer{ID: text}, Dimensions: []Dimension{{Key: text, Name: text, Meter: text, Where: map[string]string{text: text}}},
			GCP: &GCPListing{Service: "cdn.example.com", UsageReportingID: "project_number:1", Metrics: map[string]GCPMetric{text: {Name: "cdn.example.com/m", Type: "INT64"}}}}},
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// checkExport: what is rendered reads as what it was, whatever the texts are.
func checkExport(t *testing.T, text string) {
	t.Helper()
	doc := odd(text)
	if err := doc.Validate(); err != nil {
		return // no text of a catalog
	}
	out, err := doc.YAML()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	back, err := ParseDocument(out)
	if err != nil {
		t.Errorf("%q: %v\n%s", text, err, out)
		return
	}
	back.lines = nil
	if !reflect.DeepEqual(back, doc) {
		t.Errorf("%q becomes\n%s", text, out)
	}
	// One noun, changed as PATCH does.
	noun, _ := kindOf(NounProduct)
	given, err := ReadNoun(t.Context(), []byte(`{}`))
	if err == nil {
		err = noun.patch(doc, nil, text, given)
	}
	if err != nil || !reflect.DeepEqual(back.Products, doc.Products) {
		t.Errorf("%q: %v; patched to %+v", text, err, doc.Products)
	}
}

func TestExportIsRead(t *testing.T) {
	t.Parallel()
	taken := 0
	for _, text := range oddTexts {
		if odd(text).Validate() == nil {
			taken++
		}
		checkExport(t, text)
	}
	if taken < len(oddTexts)-6 {
		t.Errorf("only %d of %d texts were tried", taken, len(oddTexts))
	}
	random := fixedtest.Rand(t)
	parts := append([]string{"a", "1", " ", ":", "-", "#", "\t", "é", "e", ".", "+", "_", "T", "Z", "0"}, oddTexts...)
	for range 2000 {
		var b strings.Builder
		for range 1 + random.IntN(5) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		checkExport(t, b.String())
	}
}

func FuzzExport(f *testing.F) {
	for _, text := range oddTexts {
		f.Add(text)
	}
	f.Fuzz(checkExport)
}

// TestPlainTexts: what needs no quotes has none, so that a document can be read by people.
func TestPlainTexts(t *testing.T) {
	t.Parallel()
	out, err := mustParse(t, "customers: [{id: acme-1, name: Acme Inc., contracts: [{id: K/1, starts: 2026-01-01}]}]").YAML()
	want := "customers:\n  - id: acme-1\n    name: Acme Inc.\n    cycle_day: 1\n    pricing: usage\n    contracts:\n      - id: K/1\n        starts: 2026-01-01\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}
