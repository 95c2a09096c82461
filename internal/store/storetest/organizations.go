package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

var organizationCases = []testCase{
	{"an organization is as it was created, also after a restart", organizationStays},
	{"an organization's fields take their defaults", organizationDefaults},
	{"an organization's id exists once, also among concurrent creations", organizationOnce},
	{"bad organizations are refused", organizationRefused},
	{"an organization changes as its patch says", organizationPatched},
	{"organizations are listed in pages by id", organizationPages},
	{"there are as many organizations as the limit says", organizationLimit},
	{"the default organization is made once", defaultOnce},
	{"concurrent starts make one default organization", defaultConcurrent},
	{"a catalog that has organizations gets no default one", defaultNotNeeded},
	{"a page's limit and cursor are checked", pagesChecked},
}

func organizationStays(b *bench) {
	made, err := b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "Shop-1.x_y", Name: "Shöp", CustomerAttribute: "account"}, actor)
	b.must(err)
	want := catalog.Organization{ID: "Shop-1.x_y", Name: "Shöp", CustomerAttribute: "account", Created: b.clock.Now()}
	if made != want {
		b.Fatalf("created %+v, want %+v", made, want)
	}
	b.reopen(b.limit)
	got, err := b.store.Organization(b.ctx, "Shop-1.x_y")
	b.must(err)
	if got != want {
		b.Fatalf("read %+v, want %+v", got, want)
	}
	_, err = b.store.Organization(b.ctx, "shop-1.x_y")
	b.wantKind(err, meter.KindNotFound)
}

func organizationDefaults(b *bench) {
	o := b.organization("a")
	if o.Name != "a" || o.CustomerAttribute != "subject" {
		b.Fatalf("got %+v", o)
	}
}

func organizationOnce(b *bench) {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "a"}, actor)
		})
	}
	wg.Wait()
	b.oneDid(errs, "created")
	if got := len(b.audit("a")); got != 1 {
		b.Fatalf("%d audit entries, want 1", got)
	}
}

func organizationRefused(b *bench) {
	longest := strings.Repeat("x", catalog.MaxOrganizationIDBytes)
	b.organization(longest)
	for _, id := range []string{"", "-a", ".a", "_a", "a/b", "a b", "ä", "a\x00", longest + "x"} {
		_, err := b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: id}, actor)
		b.wantKind(err, meter.KindInvalid)
	}
	text := strings.Repeat("x", catalog.MaxNameBytes)
	_, err := b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "long", Name: text, CustomerAttribute: text}, strings.Repeat("x", catalog.MaxActorBytes))
	b.must(err)
	for _, bad := range []string{text + "x", "a\nb", "a\x7f", "\xff"} {
		_, err := b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "a", Name: bad}, actor)
		b.wantKind(err, meter.KindInvalid)
		_, err = b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "a", CustomerAttribute: bad}, actor)
		b.wantKind(err, meter.KindInvalid)
		_, err = b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "a"}, bad)
		b.wantKind(err, meter.KindInvalid)
	}
	_, err = b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "a"}, "")
	b.wantKind(err, meter.KindInvalid)
	_, err = b.store.Organization(b.ctx, "a")
	b.wantKind(err, meter.KindNotFound)
}

func organizationPatched(b *bench) {
	before := b.organization("a")
	name, attribute, empty := "New", "account", ""
	b.clock.Advance(1)
	after, err := b.store.UpdateOrganization(b.ctx, "a", catalog.OrganizationPatch{Name: &name, CustomerAttribute: &attribute}, actor)
	b.must(err)
	want := catalog.Organization{ID: "a", Name: name, CustomerAttribute: attribute, Created: before.Created}
	got, err := b.store.Organization(b.ctx, "a")
	b.must(err)
	if after != want || got != want {
		b.Fatalf("returned %+v, read %+v, want %+v", after, got, want)
	}
	_, err = b.store.UpdateOrganization(b.ctx, "a", catalog.OrganizationPatch{Name: &name}, actor)
	b.must(err)
	_, err = b.store.UpdateOrganization(b.ctx, "a", catalog.OrganizationPatch{Name: &empty}, actor)
	b.wantKind(err, meter.KindInvalid)
	_, err = b.store.UpdateOrganization(b.ctx, "b", catalog.OrganizationPatch{Name: &name}, actor)
	b.wantKind(err, meter.KindNotFound)
	_, err = b.store.UpdateOrganization(b.ctx, "a", catalog.OrganizationPatch{Name: &empty}, "")
	b.wantKind(err, meter.KindInvalid)
	if got := len(b.audit("a")); got != 2 {
		b.Fatalf("%d audit entries, want 2: a patch that changes nothing leaves none", got)
	}
}

func organizationPages(b *bench) {
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("o%d", (i*3)%7)
		b.organization(id)
		want = append(want, id)
	}
	slices.Sort(want)
	for _, limit := range []int{0, 1, 2, 3, 6, 7, 8} {
		var got []string
		for _, o := range pages(b, b.organizations, limit) {
			got = append(got, o.ID)
		}
		if !slices.Equal(got, want) {
			b.Fatalf("pages of %d: %v, want %v", limit, got, want)
		}
	}
}

func (b *bench) organizations(p catalog.Page) ([]catalog.Organization, string, error) {
	page, err := b.store.Organizations(b.ctx, p)
	return page.Items, page.Next, err
}

func organizationLimit(b *bench) {
	b.reopen(store.Limits{Organizations: 2})
	b.organization("a")
	b.organization("b")
	_, err := b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "c"}, actor)
	b.wantKind(err, meter.KindTooLarge)
	_, err = b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "a"}, actor)
	b.wantKind(err, meter.KindConflict)
}

func defaultOnce(b *bench) {
	token, err := b.keys.EnsureDefault(b.ctx, actor)
	b.must(err)
	k, err := b.keys.AuthenticateKey(b.ctx, token)
	b.must(err)
	if k.Organization != catalog.DefaultOrganization || k.Role != access.RoleAdmin || !k.Operator || k.Customer != "" {
		b.Fatalf("the first key is %+v", k)
	}
	for range 2 {
		again, err := b.keys.EnsureDefault(b.ctx, actor)
		b.must(err)
		if again != "" {
			b.Fatal("a second first key")
		}
		b.reopen(b.limit)
	}
	_, err = b.keys.AuthenticateKey(b.ctx, token)
	b.must(err)
}

func defaultConcurrent(b *bench) {
	var wg sync.WaitGroup
	tokens, errs := make([]string, 8), make([]error, 8)
	for i := range tokens {
		wg.Go(func() { tokens[i], errs[i] = b.keys.EnsureDefault(b.ctx, actor) })
	}
	wg.Wait()
	made := 0
	for i, token := range tokens {
		b.must(errs[i])
		if token != "" {
			made++
			_, err := b.keys.AuthenticateKey(b.ctx, token)
			b.must(err)
		}
	}
	if made != 1 {
		b.Fatalf("%d first keys", made)
	}
}

func defaultNotNeeded(b *bench) {
	b.organization("a")
	token, err := b.keys.EnsureDefault(b.ctx, actor)
	b.must(err)
	if token != "" {
		b.Fatal("a first key in a catalog that is in use")
	}
	_, err = b.store.Organization(b.ctx, catalog.DefaultOrganization)
	b.wantKind(err, meter.KindNotFound)
}

func pagesChecked(b *bench) {
	b.reopen(store.Limits{PageSize: 5})
	b.organization("a")
	lists := map[string]func(catalog.Page) error{
		"organizations": func(p catalog.Page) error { _, err := b.store.Organizations(b.ctx, p); return err },
		"keys":          func(p catalog.Page) error { _, err := b.keys.Keys(b.ctx, "a", p); return err },
		"meters":        func(p catalog.Page) error { _, err := b.store.Meters(b.ctx, "a", p); return err },
		"audit":         func(p catalog.Page) error { _, err := b.store.AuditEntries(b.ctx, "a", p); return err },
	}
	bad := map[string][]string{
		"organizations": {"/", "a b", "\x00"},
		"keys":          {"x", "1", ".", "01.a", "9223372036854775808.a", "1.\xff"},
		"audit":         {"x", "0", "-1", "01", "9223372036854775808"},
	}
	for name, read := range lists {
		b.must(read(catalog.Page{}))
		b.must(read(catalog.Page{Limit: 5}))
		b.wantKind(read(catalog.Page{Limit: 6}), meter.KindInvalid)
		b.wantKind(read(catalog.Page{Limit: -1}), meter.KindInvalid)
		for _, cursor := range bad[name] {
			b.wantKind(read(catalog.Page{Cursor: cursor}), meter.KindInvalid)
		}
	}
}
