package metering

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/ledger"
	"odometer/internal/meter"
)

const applied = `
organization: {name: Seller, customer_attribute: account}
meters:
- {key: hits, event_type: e, aggregation: COUNT, group_by: [customer, service]}
- {key: bytes, event_type: e, aggregation: SUM, value: bytes}
products: [{id: cdn, usage_types: [{name: Hits, meter: hits}, {name: GB, meter: bytes}]}]
customers: [{id: acme, services: [{id: shop}], contracts: [{id: K, terms: [{products: [cdn], regions: GLOBAL}]}]}]
`

func (s stores) apply(t testing.TB, service *Service, text string, o ApplyOptions) catalog.Diff {
	t.Helper()
	d, err := service.Apply(context.Background(), admin, []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// exported is all that an export has.
func exported(ctx context.Context, service *Service, p access.Principal) (*catalog.Document, error) {
	doc := new(catalog.Document)
	return doc, service.Export(ctx, p, func(walk catalog.Walk) error {
		return walk(func(part *catalog.Document) error {
			doc.Add(part)
			return nil
		})
	})
}

// state is all that an organization has, in the ledger and in the catalog.
func (s stores) state(t testing.TB, service *Service) string {
	t.Helper()
	doc, err := exported(context.Background(), service, admin)
	if err != nil {
		t.Fatal(err)
	}
	text, err := doc.YAML()
	if err != nil {
		t.Fatal(err)
	}
	audit, err := s.catalog.AuditEntries(context.Background(), "default", catalog.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.catalog.Organization(context.Background(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s%d audit entries, copies %s, attribute %q, copy %q, log %d", text, len(audit.Items), s.copies(t),
		s.ledger.CustomerAttribute("default"), o.CustomerAttribute, s.ledger.Stats().Last)
}

func TestApplyIsWhatTheDryRunTells(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	for i, text := range []string{applied, applied, strings.Replace(applied, "{id: shop}", "{id: shop, name: Shop}, {id: blog}", 1),
		strings.Replace(applied, "SUM, value: bytes}", "SUM, value: bytes, unit: byte}", 1),
		"meters: [{key: hits, event_type: e, aggregation: COUNT, group_by: [customer, service]}]\ncustomers: [{id: acme}]"} {
		for _, o := range []ApplyOptions{{}, {Prune: true}} {
			before := s.state(t, service)
			o.DryRun = true
			told := s.apply(t, service, text, o)
			if after := s.state(t, service); after != before {
				t.Fatalf("text %d: the dry run changed\n%s\nto\n%s", i, before, after)
			}
			o.DryRun = false
			if did := s.apply(t, service, text, o); !reflect.DeepEqual(did, told) {
				t.Errorf("text %d: told\n%+v\ndid\n%+v", i, told, did)
			}
			changed := s.state(t, service)
			if told.Empty() != (changed == before) {
				t.Errorf("text %d: told %+v, and %s became %s", i, told, before, changed)
			}
			if again := s.apply(t, service, text, o); !again.Empty() || s.state(t, service) != changed {
				t.Errorf("text %d: again it changes %+v", i, again)
			}
		}
	}
	if got, want := s.copies(t), "hits"; got != want {
		t.Errorf("meters %s, want %s", got, want)
	}
}

// TestApplyAllOrNothing: whatever is wrong leaves ledger and catalog as they were.
func TestApplyAllOrNothing(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	s.apply(t, service, applied, ApplyOptions{})
	before := s.state(t, service)
	var many strings.Builder
	many.WriteString("meters:\n")
	for i := range 2000 {
		fmt.Fprintf(&many, "- {key: m%d, event_type: e, aggregation: COUNT}\n", i)
	}
	const emptyPruned = "a document without entries is not applied with prune"
	const fresh = "meters: [{key: fresh, event_type: e, aggregation: COUNT}]\norganization: {customer_attribute: other}\n"
	for name, c := range map[string]struct {
		text string
		o    ApplyOptions
		want string
	}{
		"a wrong field":                  {fresh + "customers: [{id: acme, nam: x}]", ApplyOptions{}, "line 3: customers[0].nam"},
		"a reference to nothing":         {fresh + "entitlements:\n- {id: e, customer: nobody, partner: AWS, product: cdn, starts: 2026-01-01}", ApplyOptions{}, `line 4: entitlements[0].customer: there is no customer "nobody"`},
		"another's contract":             {fresh + "customers: [{id: beta, contracts: [{id: K}]}]", ApplyOptions{}, "line 3: customers[0].contracts[0].id: K is customer acme's"},
		"another definition":             {fresh + "\nproducts: []\n" + strings.Replace(fresh, "fresh", "hits", 1), ApplyOptions{}, "is given twice"},
		"a meter of another definition":  {strings.Replace(fresh, "fresh", "hits", 1), ApplyOptions{}, "line 1: meters[0]: meter hits exists with another definition"},
		"a reference to a pruned meter":  {fresh + "products: [{id: cdn, usage_types: [{name: Hits, meter: hits}]}]", ApplyOptions{Prune: true}, `line 3: products[0].usage_types[0].meter: there is no meter "hits"`},
		"too many meters":                {many.String(), ApplyOptions{}, "limit"},
		"the future":                     {fresh, ApplyOptions{Effective: testStart.AddDate(1, 0, 0)}, "future"},
		"an attribute that cannot be":    {"organization: {customer_attribute: \"" + strings.Repeat("x", 257) + "\"}\n", ApplyOptions{}, "customer_attribute"},
		"another organization's":         {"organization: {id: strange}\n" + "customers: [{id: beta}]", ApplyOptions{}, "organization.id"},
		"too large":                      {strings.Repeat(" ", catalog.MaxDocumentBytes+1), ApplyOptions{}, "more than"},
		"more problems than are told":    {"customers: [" + strings.Repeat("{name: x},", catalog.MaxProblems+1) + "]", ApplyOptions{}, "and 1 more"},
		"no YAML":                        {"a: [", ApplyOptions{}, "line 1"},
		"an anchor":                      {"customers: [&a {id: beta}]", ApplyOptions{}, "anchors"},
		"no text, with prune":            {"", ApplyOptions{Prune: true}, emptyPruned},
		"no member, with prune":          {"{}", ApplyOptions{Prune: true}, emptyPruned},
		"empty lists, with prune":        {"meters: []\nproducts: []\ncustomers: []\nentitlements: []\nunits: {}\n", ApplyOptions{Prune: true}, emptyPruned},
		"no entries, with prune":         {"organization: {name: Other, customer_attribute: other, assign_time: false}", ApplyOptions{Prune: true}, emptyPruned},
		"a customer billed under nobody": {"customers: [{id: beta, cp_codes: [{id: 1, contract: K}]}]", ApplyOptions{}, `customer beta has no contract "K"`},
	} {
		for _, dry := range []bool{true, false} {
			c.o.DryRun = dry
			_, err := service.Apply(t.Context(), admin, []byte(c.text), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			if c.want == emptyPruned && meter.KindOf(err) != meter.KindInvalid {
				t.Errorf("%s: %v is of kind %v", name, err, meter.KindOf(err))
			}
			if after := s.state(t, service); after != before {
				t.Fatalf("%s: %s\nbecame\n%s", name, before, after)
			}
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := service.Apply(gone, admin, []byte(fresh), ApplyOptions{}); err == nil || s.state(t, service) != before {
		t.Errorf("a request that was given up: %v", err)
	}
}

// TestApplyRights: only an admin key that is not bound applies.
func TestApplyRights(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{})
	bound := admin
	bound.Customer = "acme"
	for name, c := range map[string]struct {
		p             access.Principal
		apply, export meter.Kind
		exports       bool
	}{
		"nobody":       {access.Principal{}, meter.KindUnauthenticated, meter.KindUnauthenticated, false},
		"read":         {access.Principal{Organization: "default", KeyID: "r", Role: access.RoleRead}, meter.KindForbidden, 0, true},
		"ingest":       {access.Principal{Organization: "default", KeyID: "i", Role: access.RoleIngest}, meter.KindForbidden, meter.KindForbidden, false},
		"a bound key":  {bound, meter.KindForbidden, meter.KindForbidden, false},
		"no such home": {access.Principal{Organization: "strange", KeyID: "x", Role: access.RoleAdmin}, meter.KindNotFound, meter.KindNotFound, false},
	} {
		if _, err := service.Apply(t.Context(), c.p, []byte("customers: [{id: x}]"), ApplyOptions{}); err == nil || meter.KindOf(err) != c.apply {
			t.Errorf("%s applies: %v", name, err)
		}
		if _, err := exported(t.Context(), service, c.p); (err == nil) != c.exports || err != nil && meter.KindOf(err) != c.export {
			t.Errorf("%s exports: %v", name, err)
		}
	}
}

// TestApplyHeals: what a crash leaves between ledger and catalog, applying mends.
func TestApplyHeals(t *testing.T) {
	t.Parallel()
	want := openStores(t)
	wanted := want.service(t, Limits{})
	want.apply(t, wanted, applied, ApplyOptions{})
	export := func(service *Service) string {
		doc, err := exported(t.Context(), service, admin)
		if err != nil {
			t.Fatal(err)
		}
		text, err := doc.YAML()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	crashes := map[string]func(s stores) error{
		"before the first meter": func(s stores) error { return s.ledger.SetCustomerAttribute(t.Context(), "default", "account", "k") },
		"before the copy of a meter": func(s stores) error {
			_, err := s.ledger.CreateMeter(t.Context(), "default", meter.Meter{Key: "hits", EventType: "e", Aggregation: meter.AggCount, GroupBy: []string{"customer", "service"}}, "k")
			return err
		},
		"with another attribute": func(s stores) error { return s.ledger.SetCustomerAttribute(t.Context(), "default", "else", "k") },
		"before meters go": func(s stores) error {
			_, err := s.ledger.CreateMeter(t.Context(), "default", counter("old"), "k")
			return err
		},
	}
	restart := false // every second time
	for name, crash := range crashes {
		s := openStores(t)
		service := s.service(t, Limits{})
		if err := crash(s); err != nil {
			t.Fatal(err)
		}
		if restart = !restart; restart {
			service = s.service(t, Limits{})
		}
		s.apply(t, service, applied, ApplyOptions{Prune: true})
		if got, want := export(service), export(wanted); got != want {
			t.Errorf("crash %s, restart %t: %s, want %s", name, restart, got, want)
		}
		if o, err := s.catalog.Organization(t.Context(), "default"); err != nil || o.CustomerAttribute != "account" {
			t.Errorf("crash %s, restart %t: the copy is %+v %v", name, restart, o, err)
		}
		if d := s.apply(t, service, applied, ApplyOptions{Prune: true}); !d.Empty() || s.copies(t) != "bytes hits" {
			t.Errorf("crash %s, restart %t: again %+v, copies %s", name, restart, d, s.copies(t))
		}
	}
}

// TestApplyInPart: where the second step fails after the first, the error says
// so, and applying again does the rest. The clock goes back between the two.
func TestApplyInPart(t *testing.T) {
	t.Parallel()
	var log atomic.Pointer[ledger.Ledger]
	s := openStoresOf(t, func() time.Time { return testStart }, func() time.Time {
		if l := log.Load(); l != nil && len(l.Meters("default")) > 0 {
			return testStart.Add(-time.Hour)
		}
		return testStart
	})
	service := s.service(t, Limits{})
	log.Store(s.ledger)
	_, err := service.Apply(t.Context(), admin, []byte(applied), ApplyOptions{Effective: testStart})
	if err == nil || !strings.HasPrefix(err.Error(), "the document was applied in part, apply it again: effective is in the future") {
		t.Errorf("%v", err)
	}
	if view, err := service.Catalog(t.Context(), admin, catalog.Want{}); err != nil || len(view.Customers()) != 0 || s.copies(t) != "bytes hits" {
		t.Errorf("%v, %d customers, meters %s", err, len(view.Customers()), s.copies(t))
	}
	log.Store(nil)
	if d := s.apply(t, service, applied, ApplyOptions{Effective: testStart}); len(d.Meters.Create) != 0 || len(d.Changes) == 0 {
		t.Errorf("again: %+v", d)
	}
}

// TestConcurrentApplies: documents that are applied at once come one after the
// other; of two definitions of a meter one is refused.
func TestConcurrentApplies(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	const workers = 8
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		wg.Go(func() {
			aggregation := []string{"COUNT}", "SUM, value: v}"}[i%2]
			text := fmt.Sprintf("meters: [{key: m%d, event_type: e, aggregation: COUNT}, {key: shared, event_type: e, aggregation: %s]\n"+
				"products: [{id: p%d, usage_types: [{name: x, meter: shared}]}]\ncustomers: [{id: c%d, services: [{id: s}]}]\n", i, aggregation, i, i)
			_, errs[i] = service.Apply(t.Context(), admin, []byte(text), ApplyOptions{})
		})
	}
	wg.Wait()
	shared, ok := s.ledger.Meter("default", "shared")
	if !ok {
		t.Fatal("nobody made the meter")
	}
	view, err := service.Catalog(t.Context(), admin, catalog.Want{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		mine := i%2 == 0 == (shared.Aggregation == meter.AggCount)
		_, customer := view.Customer(fmt.Sprintf("c%d", i))
		_, own := s.ledger.Meter("default", fmt.Sprintf("m%d", i))
		if (errs[i] == nil) != mine || customer != mine || own != mine {
			t.Errorf("document %d: %v, customer %t, meter %t, want %t", i, errs[i], customer, own, mine)
		}
	}
}

// TestNounsHoldFromEffective: a change of one noun is as one of a document.
func TestNounsHoldFromEffective(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	s.apply(t, service, applied, ApplyOptions{})
	ref := catalog.NounRef{Kind: catalog.NounService, Customer: "acme", ID: "shop"}
	change := testStart.AddDate(0, -1, 0)
	if _, err := service.PatchNoun(t.Context(), admin, ref, []byte(`{"name":"Shop"}`), change); err != nil {
		t.Fatal(err)
	}
	if err := service.DeleteNoun(t.Context(), admin, ref, testStart.AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	view, err := service.Catalog(t.Context(), admin, catalog.Want{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range view.ServicesIn("acme", testStart.AddDate(-1, 0, 0), testStart.AddDate(1, 0, 0)) {
		got = append(got, fmt.Sprintf("%s %s to %s", h.Noun.Name, h.From.Format("01-02"), h.To.Format("01-02")))
	}
	if want := "shop 11-22 to 10-22, Shop 10-22 to 11-21"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
	page, err := service.AuditEntries(t.Context(), admin, catalog.Page{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if gone, changed := page.Items[0], page.Items[1]; gone.Action != catalog.AuditDelete || gone.Actor != "key:k" || string(gone.Before) != `{"id":"shop","name":"Shop"}` || gone.After != nil ||
		changed.Action != catalog.AuditUpdate || string(changed.Before) != `{"id":"shop","name":"shop"}` || string(changed.After) != `{"id":"shop","name":"Shop"}` || changed.ID != "acme/shop" {
		t.Errorf("%+v", page.Items)
	}
}

// TestDocumentsWait: a document waits for others of its organization and for
// room, and ends when nobody waits for it; other changes do not wait for what is being read.
func TestDocumentsWait(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{})
	done, err := service.readsDocument(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := service.Apply(ctx, admin, []byte("customers: [{id: a}]"), ApplyOptions{}); meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("a second document: %v", err)
	}
	if _, err := service.CreateNoun(t.Context(), admin, catalog.NounRef{Kind: catalog.NounCustomer}, []byte(`{"id":"b"}`), time.Time{}); err != nil {
		t.Errorf("a change beside a document that is read: %v", err)
	}
	other, err := service.readsDocument(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.readsDocument(ctx, "third"); meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("a third document at once: %v", err)
	}
	other()
	done()
	if _, err := service.Apply(t.Context(), admin, []byte("customers: [{id: a}]"), ApplyOptions{}); err != nil {
		t.Error(err)
	}
	if service.documents.Held() != 0 || len(service.documentRoom) != 0 {
		t.Errorf("left behind: %d, %d", service.documents.Held(), len(service.documentRoom))
	}
}
