package store_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/store"
)

// many opens a store with an organization of customers c0, c1, ... whose nouns are read by key.
func many(t *testing.T, customers int, room int64) (*changer, func(want catalog.Want) (read uint64)) {
	c := &changer{fixedtest.Rand(t), t, nil, fixedtest.NewClock(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))}
	var err error
	c.s, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"), store.Options{Clock: c.clock.Now, Limits: store.Limits{NounsHeld: 1, NounBytes: room}})
	c.must(err)
	t.Cleanup(func() { c.must(c.s.Close()) })
	_, err = c.s.CreateOrganization(t.Context(), catalog.NewOrganization{ID: "a"}, "test")
	c.must(err)
	doc := &catalog.Document{Products: []catalog.Product{{ID: "p"}}}
	for i := range customers {
		id := fmt.Sprintf("c%03d", i)
		doc.Customers = append(doc.Customers, catalog.Customer{ID: id, CycleDay: 1, Pricing: catalog.PricingUsage, Services: []catalog.Service{{ID: "s"}}, AccountID: "A-" + id})
	}
	c.must(doc.Validate())
	_, err = c.s.Apply(t.Context(), "a", doc, catalog.ApplyOptions{Actor: "test"})
	c.must(err)
	return c, func(want catalog.Want) uint64 {
		t.Helper()
		before := c.s.NounCache().Misses
		_, err := c.s.ViewOf(t.Context(), "a", want)
		c.must(err)
		return c.s.NounCache().Misses - before
	}
}

// What was asked for is held as far as there is room, and what was used last stays.
func TestNounsAreHeldInTheirRoom(t *testing.T) {
	t.Parallel()
	const n = 20
	_, read := many(t, n, 1<<30)
	for _, step := range []struct{ from, want uint64 }{{0, 1}, {0, 0}} { // the core was read by the first
		for i := range n {
			got := read(catalog.OfCustomers(fmt.Sprintf("c%03d", i)))
			if want := step.want; got != want && !(i == 0 && got == want+1 && want == 1) {
				t.Errorf("%d reads of customer %d, want %d", got, i, want)
			}
		}
	}
	c, read := many(t, n, 1<<30)
	read(catalog.Want{})
	core := c.s.NounCache().Bytes
	read(catalog.OfCustomers("c000"))
	one := c.s.NounCache().Bytes - core

	c, read = many(t, n, core+3*one) // at the limit: three customers
	for _, step := range []struct {
		id   string
		want uint64
	}{{"c000", 2}, {"c001", 1}, {"c002", 1}, {"c000", 0}, {"c001", 0}, {"c002", 0}, // past it: the one that was used longest ago leaves
		{"c000", 0}, {"c003", 1}, {"c000", 0}, {"c002", 0}, {"c003", 0}, {"c001", 1}} {
		if got := read(catalog.OfCustomers(step.id)); got != step.want {
			t.Errorf("%d reads of %s, want %d", got, step.id, step.want)
		}
		if stats := c.s.NounCache(); stats.Bytes > stats.Room {
			t.Errorf("%d bytes are held, more than %d", stats.Bytes, stats.Room)
		}
	}
}

// That there is nothing is held too, and a change drops what it touches and nothing else.
func TestChangesDropWhatTheyTouch(t *testing.T) {
	t.Parallel()
	c, read := many(t, 4, 1<<30)
	opt := catalog.ApplyOptions{Actor: "test"}
	account := func(id string) catalog.Want { return catalog.Want{Accounts: []string{id}} }
	code := catalog.Want{Once: []catalog.NounRef{{Kind: catalog.NounCPCode, ID: "7"}}}
	all := []catalog.Want{catalog.OfCustomers("c000"), catalog.OfCustomers("c001"), catalog.OfCustomers("none"), account("A-c002"), account("B"), code}
	patch := func(r catalog.NounRef, text string) func() error {
		return func() error { return c.s.PatchNoun(t.Context(), "a", r, c.fields(text), opt) }
	}
	create := func(r catalog.NounRef, text string) func() error {
		return func() error {
			_, err := c.s.CreateNoun(t.Context(), "a", r, c.fields(text), opt)
			return err
		}
	}
	customer := func(id string) catalog.NounRef { return catalog.NounRef{Kind: catalog.NounCustomer, ID: id} }
	for _, step := range []struct {
		what string
		do   func() error
		want [6]uint64
	}{
		{"first", func() error { return nil }, [6]uint64{2, 1, 1, 2, 1, 1}},
		{"nothing", func() error { return nil }, [6]uint64{}},
		{"another customer", patch(customer("c003"), `{"name": "x"}`), [6]uint64{}},
		{"a customer", patch(customer("c001"), `{"name": "x"}`), [6]uint64{0, 1, 0, 0, 0, 0}},
		{"a new customer", create(customer(""), `{"id": "none"}`), [6]uint64{0, 0, 1, 0, 0, 0}},
		{"an account", patch(customer("c003"), `{"account_id": "B"}`), [6]uint64{0, 0, 0, 0, 2, 0}},
		{"a contract that names another", create(catalog.NounRef{Kind: catalog.NounContract, Customer: "c000"}, `{"id": "k", "customers": ["c001"], "terms": [{"products": ["p"]}]}`), [6]uint64{3, 0, 0, 0, 0, 0}}, // who asks for one gets the other
		{"a code", create(catalog.NounRef{Kind: catalog.NounCPCode, Customer: "c001"}, `{"id": 7, "contract": "k"}`), [6]uint64{1, 0, 0, 0, 0, 1}},
		{"a product", create(catalog.NounRef{Kind: catalog.NounProduct}, `{"id": "q"}`), [6]uint64{1, 0, 0, 0, 0, 0}},
	} {
		c.clock.Advance(time.Hour)
		c.must(step.do())
		var got [6]uint64
		for i, want := range all {
			got[i] = read(want)
		}
		if got != step.want {
			t.Errorf("after %s: reads %v, want %v", step.what, got, step.want)
		}
	}
}
