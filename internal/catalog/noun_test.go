package catalog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
)

// JSON is read as JSON, with its lines, whatever YAML would make of it.
func TestJSONDocuments(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 2000)
	doc := mustParse(t, "{\n\t\"customers\": [{\"id\": \"\\ud83d\\ude00\", \"name\": \"a\\/b\"}],\r\n\t\"units\": {\"rates\": {\""+long[:200]+"\": {\"cloud\": \"1\"}}},\"meters\": null\n}")
	if c := doc.Customers[0]; c.ID != "😀" || c.Name != "a/b" || len(doc.Units.Rates) != 1 || doc.Meters != nil {
		t.Errorf("%+v", doc)
	}
	for text, want := range map[string]string{
		"{\"customers\": [\n{\"id\": \"c\",\n\"nam\": 1}]}":       "line 3: customers[0].nam: there is no such field",
		"{\"customers\": [\n{\"id\": \"c\",\n\n\"id\": \"d\"}]}":  "line 4: customers[0].id: is given twice",
		`{"customers": [{"id": "c", "cycle_day": "5"}]}`:          "cycle_day: want a whole number",
		`{"customers": [{"id": "c", "cycle_day": 5.0}]}`:          "cycle_day: want a whole number",
		`{"customers": [{"id": "c", "name": true}]}`:              "name: want a text",
		`{"` + long + `": 1}`:                                     "there is no such field",
		`[]`:                                                      "want a mapping",
		strings.Repeat("[", 100) + strings.Repeat("]", 100):       "nested too deep",
		`{"customers": [{"id": "c", "account_id": "\u0000"}]}`:    "control characters",
		`{"customers": [{"id": "c"}], "customers": [{"id":"d"}]}`: "customers: is given twice",
	} {
		if _, err := ParseDocument([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%.100s: %v, want %s", text, err, want)
		}
	}
}

// FuzzNounPatch: whatever is taken as a change of a noun is one that is
// rendered and taken again without changing anything.
func FuzzNounPatch(f *testing.F) {
	for kind, text := range map[string]string{
		NounProduct: `{"usage_types":[{"name":"x","meter":"edge_bytes","where":{"region":"na"}}]}`, NounCustomer: `{"quota":null,"services":[{"id":7}],"cycle_day":31}`,
		NounContract: `{"terms":[{"from":"2026-01-01T01:00:00+01:00","regions":{"attribute":"region"}}],"ends":null}`, NounTest: `{"enabled":false,"agents":[]}`,
		NounEntitlement: `{"azure":null,"dimensions":[{"key":"\ud83d\ude00"}]}`, NounCPCode: `{"id":7654321,"product":null}`, NounAgent: `{"effective":"2026-01-01"}`,
	} {
		f.Add(kind, []byte(text))
	}
	example := example(f)
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		list, ok := kindOf(kind)
		if !ok {
			return
		}
		doc := mustParse(t, string(example))
		id := list.all(doc, &doc.Customers[0])[0].ID
		given, err := ReadNoun(t.Context(), text)
		if err == nil {
			err = list.patch(doc, &doc.Customers[0], id, given)
		}
		if err != nil {
			if k := meter.KindOf(err); k != meter.KindInvalid {
				t.Fatalf("%v is of kind %s", err, k)
			}
			return
		}
		first, err := json.Marshal(list.all(doc, &doc.Customers[0])[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		if given, err = ReadNoun(t.Context(), first); err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		if err := list.patch(doc, &doc.Customers[0], id, given); err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		again, err := json.Marshal(list.all(doc, &doc.Customers[0])[0].Value)
		if err != nil || string(again) != string(first) {
			t.Fatalf("%v: %s became %s", err, first, again)
		}
	})
}

// TestOldListingsStay: an entitlement that was taken before its form was checked
// is in nobody's way until it is changed itself.
func TestOldListingsStay(t *testing.T) {
	t.Parallel()
	old := func() *Document {
		return &Document{Entitlements: []Entitlement{{ID: "old", Customer: "acme", Product: "cdn", Partner: PartnerAzure, Status: EntitlementActive,
			Starts: dateOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), Azure: &AzureListing{ResourceID: "azure-1", PlanID: "gold"}}}}
	}
	doc := old()
	if err := doc.Validate(); err == nil {
		t.Error("taken anew")
	}
	doc.keepListings(old().Entitlements)
	if err := doc.Validate(); err != nil {
		t.Errorf("left as it was: %v", err)
	}
	doc.Entitlements[0].Product = "other"
	doc.keepListings(old().Entitlements)
	if err := doc.Validate(); err == nil {
		t.Error("changed, and not checked")
	}
}
