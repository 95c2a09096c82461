package storetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/store/keys"
)

var auditCases = []testCase{
	{"every change leaves an audit entry with actor, before and after", auditComplete},
	{"audit entries are listed in pages, the newest first", auditPages},
	{"no answer or entry holds a secret", auditWithoutSecrets},
}

func auditComplete(b *bench) {
	b.organization("a")
	name := "New"
	b.clock.Advance(time.Second)
	_, err := b.store.UpdateOrganization(b.ctx, "a", catalog.OrganizationPatch{Name: &name}, "key:2")
	b.must(err)
	k, _, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead, Customer: "c"}, "key:3")
	b.must(err)
	revoked, err := b.keys.RevokeKey(b.ctx, "a", k.ID, keys.Revocation{Actor: "key:4", Operator: true, Force: true})
	b.must(err)
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m", 1), "key:5"))
	b.must(b.store.PutMeter(b.ctx, copyOf("a", "m", 2), "key:6"))
	b.must(b.store.DeleteMeter(b.ctx, "a", "m", 3, "key:7"))
	minted, _, err := b.keys.MintAdminKey(b.ctx, "a", "command line")
	b.must(err)

	later := b.clock.Now()
	first := catalog.Organization{ID: "a", Name: "a", CustomerAttribute: "subject", Created: later.Add(-time.Second)}
	renamed := first
	renamed.Name = name
	text := func(v any) json.RawMessage {
		raw, err := json.Marshal(v)
		b.must(err)
		return raw
	}
	want := []catalog.AuditEntry{
		{Time: first.Created, Actor: actor, Action: catalog.AuditCreate, Noun: "organization", ID: "a", After: text(first)},
		{Time: later, Actor: "key:2", Action: catalog.AuditUpdate, Noun: "organization", ID: "a", Before: text(first), After: text(renamed)},
		{Time: later, Actor: "key:3", Action: catalog.AuditCreate, Noun: "key", ID: k.ID, After: text(k)},
		{Time: later, Actor: "key:4", Action: catalog.AuditRevoke, Noun: "key", ID: k.ID, Before: text(k), After: text(revoked)},
		{Time: later, Actor: "key:5", Action: catalog.AuditCreate, Noun: "meter", ID: "m", After: copyOf("a", "m", 1).Definition},
		{Time: later, Actor: "key:6", Action: catalog.AuditUpdate, Noun: "meter", ID: "m", Before: copyOf("a", "m", 1).Definition, After: copyOf("a", "m", 2).Definition},
		{Time: later, Actor: "key:7", Action: catalog.AuditDelete, Noun: "meter", ID: "m", Before: copyOf("a", "m", 2).Definition},
		{Time: later, Actor: "command line", Action: catalog.AuditCreate, Noun: "key", ID: minted.ID, After: text(minted)},
	}
	for i := range want {
		want[i].Organization, want[i].Number = "a", int64(i+1)
	}
	for range 2 {
		if got := b.audit("a"); !reflect.DeepEqual(got, want) {
			b.Fatalf("audit entries\n%s\nwant\n%s", text(got), text(want))
		}
		b.reopen(b.limit)
	}
}

func auditPages(b *bench) {
	b.organization("a")
	b.organization("b")
	for i := range 6 {
		name := fmt.Sprint("name ", i)
		for _, id := range []string{"a", "b"} {
			_, err := b.store.UpdateOrganization(b.ctx, id, catalog.OrganizationPatch{Name: &name}, actor)
			b.must(err)
		}
	}
	for _, limit := range []int{0, 1, 2, 3, 6, 7, 8} {
		got := pages(b, func(p catalog.Page) ([]catalog.AuditEntry, string, error) {
			page, err := b.store.AuditEntries(b.ctx, "a", p)
			return page.Items, page.Next, err
		}, limit)
		if len(got) != 7 {
			b.Fatalf("pages of %d: %d entries, want 7", limit, len(got))
		}
		for i, e := range got {
			if e.Organization != "a" || e.Number != int64(7-i) {
				b.Fatalf("pages of %d: entry %d is %+v", limit, i, e)
			}
		}
	}
	none, err := b.store.AuditEntries(b.ctx, "c", catalog.Page{})
	b.must(err)
	if len(none.Items) != 0 {
		b.Fatalf("an unknown organization has %+v", none.Items)
	}
}

func auditWithoutSecrets(b *bench) {
	token, err := b.keys.EnsureDefault(b.ctx, actor)
	b.must(err)
	k, second := b.key(access.NewKey{Organization: catalog.DefaultOrganization, Role: access.RoleRead})
	_, err = b.keys.RevokeKey(b.ctx, catalog.DefaultOrganization, k.ID, by)
	b.must(err)
	page, err := b.keys.Keys(b.ctx, catalog.DefaultOrganization, catalog.Page{})
	b.must(err)
	everything, err := json.Marshal([]any{page, b.audit(catalog.DefaultOrganization)})
	b.must(err)
	for _, token := range []string{token, second} {
		if secret := token[strings.LastIndexByte(token, '_')+1:]; strings.Contains(string(everything), secret) {
			b.Fatalf("the secret %s is in %s", secret, everything)
		}
	}
}
