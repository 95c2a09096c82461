package storetest

import (
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

func nounsLimited(b *bench) {
	b.reopen(store.Limits{Nouns: sampleNouns})
	b.sampled("a")
	b.apply("a", "customers: [{id: gamma}]\n", catalog.ApplyOptions{Prune: true}, sampleNouns+1) // fewer than there were
	b.apply("a", sample, catalog.ApplyOptions{Prune: true}, sampleNouns+1)
	for _, dry := range []bool{true, false} {
		_, err := b.store.Apply(b.ctx, "a", b.parse("customers: [{id: gamma}]"), catalog.ApplyOptions{Actor: actor, DryRun: dry})
		b.wantKind(err, meter.KindTooLarge)
	}
	_, err := b.store.CreateNoun(b.ctx, "a", catalog.NounRef{Kind: catalog.NounProduct}, b.fields(`{"id":"x"}`), catalog.ApplyOptions{Actor: actor})
	b.wantKind(err, meter.KindTooLarge)
}

// nounsReadTogether: an export and a dry run are of one instant, while the
// organization's name and its nouns change together.
func nounsReadTogether(b *bench) {
	b.sampled("a")
	var texts [2]string
	for i, name := range []string{"one", "two"} {
		texts[i] = "organization: {name: " + name + "}\nmeters: []\nproducts: [{id: " + name + "}]\ncustomers: [{id: " + name + "}]\n"
	}
	_, err := b.store.Apply(b.ctx, "a", b.parse(texts[0]), catalog.ApplyOptions{Prune: true, Actor: actor})
	b.must(err)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	docs := [2]*catalog.Document{b.parse(texts[0]), b.parse(texts[1])}
	go func() {
		var err error
		for i := 1; err == nil; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				_, err = b.store.Apply(b.ctx, "a", docs[i%2], catalog.ApplyOptions{Prune: true, Actor: actor})
			}
		}
		stopped <- err
	}()
	for range 100 {
		got, err := b.store.Export(b.ctx, "a")
		b.must(err)
		if len(got.Customers) != 1 || len(got.Products) != 1 || got.Customers[0].ID != got.Organization.Name || got.Products[0].ID != got.Organization.Name {
			b.Errorf("the export of organization %q has %v and %v", got.Organization.Name, got.Products, got.Customers)
			break
		}
		d, err := b.store.Apply(b.ctx, "a", docs[0], catalog.ApplyOptions{Prune: true, DryRun: true, Actor: actor})
		b.must(err)
		if (d.Organization == nil) != (len(d.Changes) == 0) {
			b.Errorf("a dry run changes the organization to %v, with %d changes of nouns", d.Organization, len(d.Changes))
			break
		}
	}
	close(stop)
	b.must(<-stopped)
}

func nounsOneByOne(b *bench) {
	b.sampled("a")
	opt := catalog.ApplyOptions{Actor: actor}
	ref := func(kind, customer, id string) catalog.NounRef {
		return catalog.NounRef{Kind: kind, Customer: customer, ID: id}
	}
	id, err := b.store.CreateNoun(b.ctx, "a", ref(catalog.NounCPCode, "acme", ""), b.fields(`{"id":11,"contract":"K-1"}`), opt)
	b.must(err)
	if id != "11" {
		b.Errorf("id %q", id)
	}
	for _, c := range []struct {
		ref  catalog.NounRef
		text string
		kind meter.Kind
	}{
		{ref(catalog.NounCPCode, "acme", ""), `{"id":11,"contract":"K-1"}`, meter.KindConflict},
		{ref(catalog.NounCPCode, "beta", ""), `{"id":11,"contract":"K-1"}`, meter.KindConflict}, // it is acme's
		{ref(catalog.NounCPCode, "nobody", ""), `{"id":12,"contract":"K-1"}`, meter.KindNotFound},
		{ref(catalog.NounCPCode, "", ""), `{"id":12,"contract":"K-1"}`, meter.KindNotFound},
		{ref(catalog.NounCPCode, "acme", ""), `{"id":12,"contract":"none"}`, meter.KindInvalid},
		{ref(catalog.NounProduct, "", ""), `{"name":"x"}`, meter.KindInvalid},
		{ref("thing", "", ""), `{"id":"x"}`, meter.KindInternal},
	} {
		_, err := b.store.CreateNoun(b.ctx, "a", c.ref, b.fields(c.text), opt)
		b.wantKind(err, c.kind)
	}
	code := ref(catalog.NounCPCode, "acme", "11")
	before := len(b.audit("a"))
	b.must(b.store.PatchNoun(b.ctx, "a", code, b.fields(`{"name":"eleven","product":"cdn"}`), opt))
	b.must(b.store.PatchNoun(b.ctx, "a", code, b.fields(`{"name":null}`), opt))
	b.must(b.store.PatchNoun(b.ctx, "a", code, b.fields(`{}`), opt)) // nothing
	if n := len(b.audit("a")) - before; n != 2 {
		b.Errorf("%d audit entries", n)
	}
	if got, customer, ok := b.view("a").CPCode(11); !ok || customer != "acme" || got.Name != "11" || got.Product != "cdn" {
		b.Errorf("%+v of %q", got, customer)
	}
	b.wantKind(b.store.DeleteNoun(b.ctx, "a", ref(catalog.NounContract, "acme", "K-1"), opt), meter.KindConflict)
	b.wantKind(b.store.DeleteNoun(b.ctx, "a", ref(catalog.NounContract, "acme", "K-2"), opt), meter.KindNotFound)
	b.must(b.store.DeleteNoun(b.ctx, "a", code, opt))
	b.must(b.store.DeleteNoun(b.ctx, "a", ref(catalog.NounEntitlement, "", "e1"), opt))
	b.must(b.store.DeleteNoun(b.ctx, "a", ref(catalog.NounCustomer, "", "acme"), opt)) // with all that is its own
	v := b.view("a")
	if _, err := v.Noun(ref(catalog.NounCustomer, "", "acme")); meter.KindOf(err) != meter.KindNotFound || v.ServiceName("acme", "s1") != "one" {
		b.Errorf("%v, and its service is called %s", err, v.ServiceName("acme", "s1"))
	}
	if _, err := v.Nouns(ref(catalog.NounService, "acme", "")); meter.KindOf(err) != meter.KindNotFound {
		b.Errorf("%v", err)
	}
}
