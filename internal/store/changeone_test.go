package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/postgrestest"
)

// Changes of single nouns, one by one, leave the view that reading all nouns
// gives. What reads all of them for each change takes and refuses the same, in
// the same words, and leaves the same audit entries.
func TestChangesOneByOne(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		changes := 1200
		if testing.Short() {
			changes = 500
		}
		changeOneByOne(t, filepath.Join(t.TempDir(), "catalog.db"), changes, 0)
	})
	t.Run("SQLite by key", func(t *testing.T) {
		t.Parallel()
		changes := 600
		if testing.Short() {
			changes = 200
		}
		changeOneByOne(t, filepath.Join(t.TempDir(), "catalog.db"), changes, 1)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		if server, ok := postgrestest.Start(t); ok {
			changeOneByOne(t, server.Fresh(t), 300, 0)
			changeOneByOne(t, server.Fresh(t), 150, 1)
		}
	})
}

// changer makes random changes in two organizations alike.
type changer struct {
	*rand.Rand
	t     *testing.T
	s     *store.Store
	clock *fixedtest.Clock
}

func changeOneByOne(t *testing.T, dsn string, changes, held int) {
	c := &changer{fixedtest.Rand(t), t, nil, fixedtest.NewClock(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))}
	open := func() *store.Store {
		s, err := store.Open(t.Context(), dsn, store.Options{Clock: c.clock.Now, Limits: store.Limits{Nouns: 90, NounsHeld: held, NounBytes: int64(held) * 20_000}, Build: "one"})
		c.must(err)
		t.Cleanup(func() { c.must(s.Close()) })
		return s
	}
	c.s = open()
	c.twoAlike()
	other := c.s
	if strings.HasPrefix(dsn, "postgres") { // another process changes the same catalog
		other = open()
	}
	if held > 0 {
		c.s.ReadNamed(true)
	}
	patched, refused := 0, map[meter.Kind]int{}
	for n := range changes {
		c.clock.Advance(time.Hour)
		if n%97 == 40 {
			c.units(n, other)
		}
		if n%6 == 5 {
			c.documents(n)
		}
		change := c.change()
		by := c.s
		if c.IntN(20) == 0 {
			by = other
		}
		before := c.s.Partly()
		got := change(by, "a")
		forget := c.IntN(10) == 0
		if held == 0 {
			holds, err := c.s.Holds(t.Context(), "a")
			c.must(err)
			if holds && got == nil {
				patched++
			}
		} else if now := c.s.Partly(); now > before && got == nil {
			patched++
		}
		if forget {
			c.s.Forget("a")
		}
		c.must(c.s.ReadAll("b"))
		want := change(c.s, "b")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("change %d: %v, want %v", n, got, want)
		}
		if got != nil {
			refused[meter.KindOf(got)]++
		}
		c.check(n)
		if held > 0 {
			c.wanted(n)
		}
	}
	if c.s.Many("a") != (held > 0) {
		t.Errorf("nouns are read by key: %v", c.s.Many("a"))
	}
	if patched < changes/12 || len(refused) < 3 {
		t.Errorf("%d views were changed of %d, and %v were refused", patched, changes, refused)
	}
}

// units changes the units of both by one process.
func (c *changer) units(n int, by *store.Store) {
	c.t.Helper()
	var told [2]error
	for i, id := range []string{"a", "b"} {
		told[i] = by.PutUnits(c.t.Context(), id, c.fields(fmt.Sprintf(`{"cloud": {"meter": "m%d"}}`, 1+n%2)), catalog.ApplyOptions{Actor: "test"})
	}
	if fmt.Sprint(told[0]) != fmt.Sprint(told[1]) {
		c.t.Fatalf("change %d: units: %v, want %v", n, told[0], told[1])
	}
}

// documents applies a random document to both.
func (c *changer) documents(n int) {
	c.t.Helper()
	if _, err := c.s.Edit(c.t.Context(), "b", catalog.ApplyOptions{Actor: "test"}, func(*catalog.Document) error { return nil }); err != nil {
		for _, id := range []string{"a", "b"} { // a document has broken what it had not
			c.must(c.apply(id, `{"products": [{"id": "1"}, {"id": "2"}], "customers": [{"id": "1"}, {"id": "2"}, {"id": "4"}]}`, true))
		}
	}
	text := c.document()
	if gotA, gotB := c.apply("a", text), c.apply("b", text); fmt.Sprint(gotA) != fmt.Sprint(gotB) {
		c.t.Fatalf("change %d: document %s: %v, want %v", n, text, gotA, gotB)
	}
}

// apply applies a document.
func (c *changer) apply(of, text string, prune ...bool) error {
	doc, err := catalog.ParseDocument([]byte(text))
	if err != nil {
		return err
	}
	_, err = c.s.Apply(c.t.Context(), of, doc, catalog.ApplyOptions{Actor: "test", Prune: len(prune) > 0})
	return err
}

// start gives both organizations the same nouns.
func (c *changer) start() error {
	var text strings.Builder
	text.WriteString("products: [{id: \"1\"}, {id: \"2\"}, {id: \"3\"}]\ncustomers:\n")
	for _, id := range []string{"1", "2", "3", "4"} {
		fmt.Fprintf(&text, "  - {id: %[1]q, services: [{id: %[1]q}], contracts: [{id: %[1]q, starts: 2026-01-01, terms: [{products: [\"1\"]}]}], account_groups: [{aid: %[1]q}],\n", id)
		fmt.Fprintf(&text, "     cp_codes: [{id: %[1]s, contract: %[1]q}], agents: [{id: %[1]q, kind: enterprise, account_group: %[1]q}]}\n", id)
	}
	for _, of := range []string{"a", "b"} {
		doc, err := catalog.ParseDocument([]byte(text.String()))
		if err != nil {
			return err
		}
		if _, err := c.s.Apply(c.t.Context(), of, doc, catalog.ApplyOptions{Actor: "test"}); err != nil {
			return err
		}
	}
	return nil
}

// twoAlike makes two organizations that are alike, with two meters each.
func (c *changer) twoAlike() {
	c.t.Helper()
	for _, id := range []string{"a", "b"} {
		_, err := c.s.CreateOrganization(c.t.Context(), catalog.NewOrganization{ID: id, Name: "same"}, "test")
		c.must(err)
		for i, key := range []string{"m1", "m2"} {
			text, err := json.Marshal(meter.Meter{Key: key, EventType: "e", Aggregation: meter.AggCount, GroupBy: []string{"customer", "region"}}.Normalize())
			c.must(err)
			c.must(c.s.PutMeter(c.t.Context(), store.MeterCopy{Organization: id, Key: key, Version: 1, Definition: text, Sequence: uint64(i + 1)}, "test"))
		}
	}
	c.must(c.start())
}

func (c *changer) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// check compares the views, and what both organizations noted last.
func (c *changer) check(n int) {
	c.t.Helper()
	ctx := c.t.Context()
	view, err := c.s.View(ctx, "a")
	c.must(err)
	for _, of := range []string{"a", "b"} {
		anew, err := c.s.ReadAnew(ctx, of)
		c.must(err)
		if !reflect.DeepEqual(view, anew) {
			c.t.Fatalf("change %d: the view is not that of %s:\n%+v\n%+v", n, of, view, anew)
		}
	}
	if n%10 == 0 {
		c.byKey(n)
	}
	var noted [2]string
	for i, of := range []string{"a", "b"} {
		page, err := c.s.AuditEntries(ctx, of, catalog.Page{Limit: 5})
		c.must(err)
		for _, e := range page.Items {
			if e.Noun != "organization" {
				noted[i] += fmt.Sprintln(e.Number, e.Time, e.Action, e.Noun, e.ID, string(e.Before), string(e.After))
			}
		}
	}
	if noted[0] != noted[1] {
		c.t.Fatalf("change %d: noted\n%s, want\n%s", n, noted[0], noted[1])
	}
}

// byKey compares what is read by key, where no view is in memory, with the view.
func (c *changer) byKey(n int) {
	c.t.Helper()
	ctx := c.t.Context()
	view, err := c.s.ReadAnew(ctx, "b")
	c.must(err)
	c.s.Forget("b")
	for _, kind := range []string{catalog.NounProduct, catalog.NounCustomer, catalog.NounEntitlement, catalog.NounService, catalog.NounContract, catalog.NounCPCode,
		catalog.NounReportingGroup, catalog.NounAccountGroup, catalog.NounAgent, catalog.NounTest, catalog.NounUnits, "thing"} {
		for _, customer := range []string{"", "1", "4", "none"} {
			r := catalog.NounRef{Kind: kind, Customer: customer}
			if _, own := catalog.PartOf(catalog.NounRef{Kind: kind, Customer: customer, ID: "1"}); !own && customer != "" && c.s.Many("b") {
				continue // nobody asks for nouns of a customer that are no customer's
			}
			for _, page := range []catalog.Page{{}, {Limit: 2}, {Limit: 1, Cursor: "2"}, {Limit: -1}} {
				want, wantErr := c.s.PageOf(view, r, page)
				got, err := c.s.NounPage(ctx, "b", r, page)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
					c.t.Fatalf("change %d: page %+v of %+v: %+v, %v; want %+v, %v", n, page, r, got, err, want, wantErr)
				}
			}
			for _, r.ID = range []string{"1", "4", "none", ""} {
				want, wantErr := view.Noun(r)
				got, err := c.s.Noun(ctx, "b", r)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
					c.t.Fatalf("change %d: %+v: %+v, %v; want %+v, %v", n, r, got, err, want, wantErr)
				}
			}
		}
	}
}

func (c *changer) fields(text string) catalog.NounFields {
	c.t.Helper()
	fields, err := catalog.ReadNoun(context.Background(), []byte(text))
	c.must(err)
	return fields
}

func (c *changer) one(texts ...string) string { return texts[c.IntN(len(texts))] }

// change is a random one.
func (c *changer) change() func(s *store.Store, organization string) error {
	kind := c.one(catalog.NounProduct, catalog.NounCustomer, catalog.NounCustomer, catalog.NounService, catalog.NounContract, catalog.NounContract, catalog.NounCPCode,
		catalog.NounReportingGroup, catalog.NounAccountGroup, catalog.NounAgent, catalog.NounTest, catalog.NounEntitlement)
	id := c.one("1", "2", "3", "4")
	r := catalog.NounRef{Kind: kind, ID: id}
	switch kind {
	case catalog.NounProduct, catalog.NounCustomer, catalog.NounEntitlement:
	default:
		r.Customer = c.one("1", "2", "3", "4")
	}
	opt := catalog.ApplyOptions{Actor: "test"}
	if c.IntN(4) == 0 {
		opt.Effective = c.clock.Now().Add(-time.Duration(c.IntN(100)) * time.Hour)
	}
	if r.Customer != "" && c.IntN(3) > 0 && id != "3" { // what a customer refers to is mostly its own
		id = r.Customer
		r.ID = id
	}
	switch c.IntN(8) {
	case 0:
		if (kind == catalog.NounCustomer || kind == catalog.NounProduct) && c.IntN(4) > 0 {
			r.ID = "4"
		}
		return func(s *store.Store, of string) error { return s.DeleteNoun(c.t.Context(), of, r, opt) }
	case 1, 2, 3:
		name := "id"
		if kind == catalog.NounAccountGroup {
			name = "aid"
		}
		text := fmt.Sprintf(`{"%s": "%s", %s`, name, id, c.body(kind, true)[1:])
		if kind == catalog.NounCPCode || kind == catalog.NounReportingGroup {
			text = fmt.Sprintf(`{"%s": %s, %s`, name, id, c.body(kind, true)[1:])
		}
		text = strings.Replace(text, ", }", "}", 1)
		r.ID = ""
		return func(s *store.Store, of string) error {
			_, err := s.CreateNoun(c.t.Context(), of, r, c.fields(text), opt)
			return err
		}
	}
	text := c.body(kind, false)
	return func(s *store.Store, of string) error { return s.PatchNoun(c.t.Context(), of, r, c.fields(text), opt) }
}

// body is an object of fields of a kind, all that it needs or some.
func (c *changer) body(kind string, all bool) string {
	id := func() string { return c.one("1", "1", "1", "2", "2", "3", "4", "5") }
	fields := map[string][]string{
		catalog.NounProduct:        {fmt.Sprintf(`"usage_types": [{"name": "u", "meter": "m%s"%s}]`, c.one("1", "2", "1", "2", "3"), c.one("", `, "where": {"region": "eu"}`, `, "where": {"x": "eu"}`))},
		catalog.NounCustomer:       {`"name": "n` + id() + `"`, c.one(`"account_id": null`, `"account_id": "A`+id()+`"`), `"cycle_day": ` + c.one("1", "5", "7", "40")},
		catalog.NounService:        {`"name": "` + c.one("x", "y", "z", "v", strings.Repeat("z", 300)) + `"`},
		catalog.NounContract:       {fmt.Sprintf(`"starts": "2026-0%s-01"`, id()), fmt.Sprintf(`"terms": [{"products": ["%s"]}]`, id()), c.one(`"customers": null`, `"customers": null`, fmt.Sprintf(`"customers": ["%s"]`, id()))},
		catalog.NounCPCode:         {`"contract": "` + id() + `"`, c.one(`"product": null`, `"product": "`+id()+`"`)},
		catalog.NounReportingGroup: {`"name": "g` + id() + `"`, fmt.Sprintf(`"cp_codes": [%s]`, id())},
		catalog.NounAccountGroup:   {`"name": "g` + id() + `"`},
		catalog.NounAgent:          {`"kind": "` + c.one("enterprise", "enterprise", "endpoint", "x") + `"`, `"account_group": "` + id() + `"`, c.one(`"enabled": true`, `"effective": "2026-05-0`+id()+`"`)},
		catalog.NounTest:           {`"type": "http"`, `"account_group": "` + id() + `"`, `"interval_s": 60`, fmt.Sprintf(`"agents": ["%s"]`, id())},
		catalog.NounEntitlement: {`"customer": "` + id() + `"`, `"product": "` + id() + `"`, `"starts": "2026-01-01"`, `"status": "active"`, c.one(
			`"partner": "aws", "azure": null, "aws": {"account_id": "12345678901`+id()+`", "license_arn": "arn:aws:license-manager::294406891311:license/l-1", "product_code": "p`+id()+`", "region": "us-east-1"}`,
			`"partner": "azure", "aws": null, "azure": {"resource_id": "7f2c6f7e-0000-4000-8000-00000000000`+id()+`", "plan_id": "p"}`),
			fmt.Sprintf(`"dimensions": [{"key": "d", "meter": "m%s"}]`, c.one("1", "2", "3"))},
	}[kind]
	var some []string
	for _, f := range fields {
		if all || c.IntN(3) == 0 {
			some = append(some, f)
		}
	}
	return "{" + strings.Join(some, ", ") + "}"
}

// TestSoundAfterStart: what is known of the nouns is known after a start by the
// same build, and not where anything else has happened.
func TestSoundAfterStart(t *testing.T) {
	t.Parallel()
	dsn := filepath.Join(t.TempDir(), "catalog.db")
	clock := fixedtest.NewClock(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	ctx, c, opt := t.Context(), &changer{Rand: fixedtest.Rand(t), t: t, clock: clock}, catalog.ApplyOptions{Actor: "test"}
	open := func(build string) {
		var err error
		c.s, err = store.Open(ctx, dsn, store.Options{Clock: clock.Now, Build: build})
		c.must(err)
	}
	// patched says whether a change did without reading all nouns.
	patched := func() bool {
		clock.Advance(time.Hour)
		c.must(c.s.PatchNoun(ctx, "a", catalog.NounRef{Kind: catalog.NounCustomer, ID: "1"}, c.fields(fmt.Sprintf(`{"name": "n%d"}`, clock.Now().Unix())), opt))
		holds, err := c.s.Holds(ctx, "a")
		c.must(err)
		return holds
	}
	open("one")
	for _, id := range []string{"a", "b"} {
		_, err := c.s.CreateOrganization(ctx, catalog.NewOrganization{ID: id, Name: "same"}, "test")
		c.must(err)
	}
	c.must(c.start())
	if !patched() {
		t.Error("the first change after the first document read all nouns")
	}
	for _, step := range []struct {
		what, build string
		do          func() error
		want        bool
	}{
		{"a start", "one", func() error { return nil }, true},
		{"another build", "two", func() error { return nil }, false},
		{"the build again that found it", "two", func() error { return nil }, true},
		{"a build that is not known", "", func() error { return nil }, false},
		{"no build has found it as of now", "two", func() error { return nil }, false},
		{"a document", "two", c.start, true},
		{"a document that may break what it has not", "two", func() error {
			return c.apply("a", `{"customers": [{"id": "1", "agents": [{"id": "1", "kind": "endpoint", "account_group": "1"}]}]}`)
		}, false},
		{"a document with prune", "two", func() error {
			return c.apply("a", `{"products": [{"id": "1"}], "customers": [{"id": "1"}, {"id": "2"}]}`, true)
		}, true},
		{"units", "two", func() error { return c.s.PutUnits(ctx, "a", c.fields(`{"rates": {"x": {"cloud": "1"}}}`), opt) }, true},
		{"a meter", "two", func() error {
			text, err := json.Marshal(meter.Meter{Key: "m", EventType: "e", Aggregation: meter.AggCount}.Normalize())
			c.must(err)
			return c.s.PutMeter(ctx, store.MeterCopy{Organization: "a", Key: "m", Version: 1, Definition: text, Sequence: 1}, "test")
		}, false},
	} {
		c.must(step.do())
		c.must(c.s.Close())
		open(step.build)
		if got := patched(); got != step.want {
			t.Errorf("after %s: done by a part %v, want %v", step.what, got, step.want)
		}
	}
	c.must(c.s.Close())
}
