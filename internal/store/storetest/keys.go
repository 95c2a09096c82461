package storetest

import (
	"errors"
	"reflect"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/keys"
)

var keyCases = []testCase{
	{"a key is as it was created, also after a restart", keyStays},
	{"a role allows what it says", keyRoles},
	{"bad keys are refused", keyRefused},
	{"keys are listed in pages by age", keyPages},
	{"an organization has as many keys as the limit says", keyLimit},
	{"an installation has as many keys as the limit says", keyTotalLimit},
	{"a lost admin key is replaced also at the limit", keyMinted},
	{"keys of another organization are as keys that do not exist", keyIsolation},
	{"sources of one customer are no other's", keySources},
	{"a revoked key stays as it was revoked", keyRevoked},
}

func keyStays(b *bench) {
	b.organization("a")
	expires := b.clock.Now().Add(time.Hour)
	made, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead, Customer: "Kunde Ä", Expires: expires})
	want := access.Key{
		ID: made.ID, Organization: "a", Role: access.RoleRead, Kind: access.KindToken,
		Customer: "Kunde Ä", Created: b.clock.Now(), Expires: expires,
	}
	if made != want {
		b.Fatalf("created %+v, want %+v", made, want)
	}
	for range 2 {
		for name, read := range map[string]func() (access.Key, error){
			"Key":             func() (access.Key, error) { return b.keys.Key(b.ctx, "a", made.ID) },
			"AuthenticateKey": func() (access.Key, error) { return b.keys.AuthenticateKey(b.ctx, token) },
		} {
			got, err := read()
			b.must(err)
			got.LastUsed = time.Time{}
			if got != want {
				b.Fatalf("%s: %+v, want %+v", name, got, want)
			}
		}
		b.reopen(b.limit)
	}
}

func keyRoles(b *bench) {
	b.organization("a")
	actions := []access.Action{access.ActionManage, access.ActionReport, access.ActionIngest, access.ActionRead}
	want := map[access.Role][]bool{
		access.RoleAdmin:  {true, true, true, true},
		access.RoleReport: {false, true, false, false},
		access.RoleIngest: {false, false, true, false},
		access.RoleRead:   {false, false, false, true},
		"":                {false, false, false, false},
		"owner":           {false, false, false, false},
	}
	for role, allowed := range want {
		for i, action := range actions {
			if got := role.Allows(action); got != allowed[i] {
				b.Errorf("role %q, action %d: %v, want %v", role, action, got, allowed[i])
			}
		}
		if _, err := access.ParseRole(string(role)); err != nil {
			b.wantKind(err, meter.KindInvalid)
			continue
		}
		_, token := b.key(access.NewKey{Organization: "a", Role: role})
		k, err := b.keys.AuthenticateKey(b.ctx, token)
		b.must(err)
		if k.Role != role || k.Operator || k.Allows(access.ActionManage) != (role == access.RoleAdmin) {
			b.Errorf("role %q: the key is %+v", role, k)
		}
	}
}

func keyRefused(b *bench) {
	b.organization("a")
	longest := strings.Repeat("x", access.MaxCustomerBytes)
	b.key(access.NewKey{Organization: "a", Role: access.RoleRead, Customer: longest})
	b.key(access.NewKey{Organization: "a", Role: access.RoleRead, Expires: b.clock.Now().Add(time.Microsecond)})
	for name, n := range map[string]access.NewKey{
		"no role":            {},
		"unknown role":       {Role: "owner"},
		"unknown kind":       {Role: access.RoleRead, Kind: "password"},
		"bound admin":        {Role: access.RoleAdmin, Customer: "c"},
		"operator not admin": {Role: access.RoleRead, Operator: true},
		"long customer":      {Role: access.RoleRead, Customer: longest + "x"},
		"customer not UTF-8": {Role: access.RoleRead, Customer: "\xff"},
		"customer with line": {Role: access.RoleRead, Customer: "a\nb"},
		"default aid, lines": {Role: access.RoleRead, DefaultAID: "a\nb"},
		"bound, default aid": {Role: access.RoleRead, Customer: "c", DefaultAID: "7"},
		"default aid unread": {Role: access.RoleReport, DefaultAID: "7"},
		"accounts of token":  {Role: access.RoleRead, Accounts: []string{"A"}},
		"expired":            {Role: access.RoleRead, Expires: b.clock.Now()},
		"expired long ago":   {Role: access.RoleRead, Expires: time.Unix(0, 0)},
	} {
		n.Organization = "a"
		if _, _, err := b.keys.CreateKey(b.ctx, n, actor); meter.KindOf(err) != meter.KindInvalid {
			b.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: "b", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindNotFound)
	_, _, err = b.keys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, "")
	b.wantKind(err, meter.KindInvalid)
	if got := len(b.audit("a")); got != 3 {
		b.Fatalf("%d audit entries, want 3: what was refused leaves none", got)
	}
}

func keyPages(b *bench) {
	b.organization("a")
	b.organization("b")
	var want []access.Key
	for i := range 7 {
		k, _ := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
		b.key(access.NewKey{Organization: "b", Role: access.RoleRead})
		want = append(want, k)
		b.clock.Advance(time.Microsecond)
		if i == 0 {
			b.clock.Advance(time.Hour)
		}
	}
	for _, limit := range []int{0, 1, 2, 3, 6, 7, 8} {
		if got := pages(b, b.keysOf("a"), limit); !reflect.DeepEqual(got, want) {
			b.Fatalf("pages of %d: %+v, want %+v", limit, got, want)
		}
	}
	// Keys of one instant are all listed, each once.
	b.organization("same")
	for range 5 {
		b.key(access.NewKey{Organization: "same", Role: access.RoleRead})
	}
	seen := map[string]bool{}
	for _, k := range pages(b, b.keysOf("same"), 2) {
		seen[k.ID] = true
	}
	if len(seen) != 5 {
		b.Fatalf("%d keys of one instant, want 5", len(seen))
	}
}

func (b *bench) keysOf(organization string) func(catalog.Page) ([]access.Key, string, error) {
	return func(p catalog.Page) ([]access.Key, string, error) {
		page, err := b.keys.Keys(b.ctx, organization, p)
		return page.Items, page.Next, err
	}
}

func keyLimit(b *bench) {
	b.reopen(store.Limits{KeysPerOrganization: 2})
	b.organization("a")
	b.organization("b")
	first, _ := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	_, _, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindTooLarge)
	b.key(access.NewKey{Organization: "b", Role: access.RoleRead})
	_, err = b.keys.RevokeKey(b.ctx, "a", first.ID, by)
	b.must(err)
	b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
}

func keyTotalLimit(b *bench) {
	b.reopen(store.Limits{Keys: 2})
	b.organization("a")
	b.organization("b")
	first, _ := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	b.key(access.NewKey{Organization: "b", Role: access.RoleRead})
	_, _, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: "b", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindTooLarge)
	_, err = b.keys.RevokeKey(b.ctx, "a", first.ID, by)
	b.must(err)
	b.reopen(b.limit)
	b.key(access.NewKey{Organization: "b", Role: access.RoleRead})
	_, _, err = b.keys.CreateKey(b.ctx, access.NewKey{Organization: "b", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindTooLarge)
}

func keyMinted(b *bench) {
	b.reopen(store.Limits{KeysPerOrganization: 1, Keys: 1})
	_, err := b.keys.EnsureDefault(b.ctx, actor)
	b.must(err)
	b.organization("b")
	for organization, operator := range map[string]bool{catalog.DefaultOrganization: true, "b": false} {
		k, token, err := b.keys.MintAdminKey(b.ctx, organization, actor)
		b.must(err)
		got, err := b.keys.AuthenticateKey(b.ctx, token)
		b.must(err)
		if got != k || k.Organization != organization || k.Role != access.RoleAdmin || k.Operator != operator {
			b.Fatalf("minted %+v, authenticated %+v", k, got)
		}
	}
	_, _, err = b.keys.MintAdminKey(b.ctx, "c", actor)
	b.wantKind(err, meter.KindNotFound)
}

// message is what a caller sees of an error.
func message(err error) string {
	var e *meter.Error
	if !errors.As(err, &e) {
		return "not a meter.Error"
	}
	return e.Kind.String() + ": " + e.Message
}

func keyIsolation(b *bench) {
	b.organization("a")
	b.organization("b")
	theirs, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	mine, _ := b.key(access.NewKey{Organization: "b", Role: access.RoleAdmin})
	unknown := strings.Repeat("0", len(theirs.ID))
	for name, do := range map[string]func(id string) error{
		"Key":       func(id string) error { _, err := b.keys.Key(b.ctx, "b", id); return err },
		"RevokeKey": func(id string) error { _, err := b.keys.RevokeKey(b.ctx, "b", id, by); return err },
	} {
		hidden, none := do(theirs.ID), do(unknown)
		b.wantKind(hidden, meter.KindNotFound)
		if got, want := strings.ReplaceAll(message(hidden), theirs.ID, unknown), message(none); got != want {
			b.Errorf("%s: %q for another's key, %q for none", name, got, want)
		}
	}
	if _, err := b.keys.AuthenticateKey(b.ctx, token); err != nil {
		b.Fatalf("another organization revoked the key: %v", err)
	}
	page, err := b.keys.Keys(b.ctx, "b", catalog.Page{})
	b.must(err)
	if len(page.Items) != 1 || page.Items[0] != mine {
		b.Fatalf("b sees %+v", page.Items)
	}
	// A cursor of one organization's list shows nothing of it in another's.
	b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	first, err := b.keys.Keys(b.ctx, "a", catalog.Page{Limit: 1})
	b.must(err)
	foreign, err := b.keys.Keys(b.ctx, "b", catalog.Page{Cursor: first.Next})
	b.must(err)
	for _, k := range foreign.Items {
		if k.Organization != "b" {
			b.Fatalf("b sees %+v", k)
		}
	}
	for _, e := range b.audit("b") {
		if e.Organization != "b" || strings.Contains(string(e.After), theirs.ID) {
			b.Fatalf("b's audit entries hold %+v", e)
		}
	}
}

func keyRevoked(b *bench) {
	b.organization("a")
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	b.clock.Advance(3 * time.Hour)
	_, err := b.keys.AuthenticateKey(b.ctx, token)
	b.must(err)
	want := k
	want.Revoked, want.LastUsed = b.clock.Now(), b.clock.Now().Truncate(keys.LastUsedGrain)
	for range 2 {
		got, err := b.keys.RevokeKey(b.ctx, "a", k.ID, by)
		b.must(err)
		if got != want {
			b.Fatalf("revoked %+v, want %+v", got, want)
		}
		read, err := b.keys.Key(b.ctx, "a", k.ID)
		b.must(err)
		if read != want {
			b.Fatalf("read %+v, want %+v", read, want)
		}
		b.clock.Advance(time.Hour)
		b.reopen(b.limit)
	}
	if got := len(b.audit("a")); got != 3 {
		b.Fatalf("%d audit entries, want 3: revoking twice leaves one", got)
	}
	_, err = b.keys.RevokeKey(b.ctx, "a", k.ID, keys.Revocation{})
	b.wantKind(err, meter.KindInvalid)
}

func keySources(b *bench) {
	b.organization("a")
	b.organization("b")
	of := func(organization, customer string, sources ...string) access.NewKey {
		return access.NewKey{Organization: organization, Role: access.RoleIngest, Customer: customer, Sources: sources}
	}
	refused := func(kind meter.Kind, n access.NewKey) {
		b.Helper()
		_, _, err := b.keys.CreateKey(b.ctx, n, actor)
		b.wantKind(err, kind)
	}
	one, token := b.key(of("a", "one", "two/", "one/", "one/sub", "edge"))
	older, _ := b.key(of("a", "two"))
	strict, strictToken := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest, Strict: true})
	for range 2 {
		got, err := b.keys.AuthenticateKey(b.ctx, token)
		b.must(err)
		if got.Sources != "edge\none/\ntwo/" || got.Unrestricted || got.Strict {
			b.Fatalf("%+v", got)
		}
		for source, held := range map[string]bool{"one/": true, "one/x": true, "edge": true, "edger": true, "edg": false, "one": false, "two": false, "two/é": true, "": false, "z": false} {
			if got.Sources.Holds(source) != held || b.keys.ClaimedByOther("a", "two", source) != held {
				b.Errorf("source %q: held %v, claimed %v, want %v", source, got.Sources.Holds(source), b.keys.ClaimedByOther("a", "two", source), held)
			}
			if b.keys.ClaimedByOther("a", "one", source) || b.keys.ClaimedByOther("b", "two", source) {
				b.Errorf("source %q is claimed by another", source)
			}
		}
		if k, err := b.keys.Key(b.ctx, "a", older.ID); err != nil || !k.Unrestricted {
			b.Errorf("%+v %v", k, err)
		}
		if k, err := b.keys.AuthenticateKey(b.ctx, strictToken); err != nil || !k.Strict || k.ID != strict.ID {
			b.Errorf("%+v %v", k, err)
		}
		for _, s := range []string{"one/", "one/x", "o", "edge", "edge/", "e", "two/"} {
			refused(meter.KindConflict, of("a", "three", "three/", s))
		}
		b.reopen(b.limit)
	}
	b.key(of("a", "one", "one/", "one/sub/")) // the customer's own
	b.key(of("b", "three", "one/"))           // another organization's
	refused(meter.KindInvalid, of("a", "one", ""))
	refused(meter.KindInvalid, of("a", "one", "a\nb"))
	refused(meter.KindInvalid, of("a", "one", "\xff"))
	refused(meter.KindInvalid, of("a", "one", access.InternalSource+"e1"))
	refused(meter.KindInvalid, of("a", "", "x"))
	refused(meter.KindInvalid, access.NewKey{Organization: "a", Role: access.RoleReport, Customer: "one", Sources: []string{"x"}})
	refused(meter.KindInvalid, access.NewKey{Organization: "a", Role: access.RoleRead, Strict: true})
	longest := strings.Repeat("l", access.MaxSourceBytes)
	b.key(of("a", "one", longest))
	refused(meter.KindInvalid, of("a", "one", longest+"l"))
	most := make([]string, access.MaxSources+1)
	for i := range most {
		most[i] = string(rune('A'+i)) + "/"
	}
	b.key(of("a", "one", most[1:]...))
	refused(meter.KindTooLarge, of("a", "one", most...))
	_, err := b.keys.RevokeKey(b.ctx, "a", one.ID, by)
	b.must(err)
	b.key(of("a", "three", "edge")) // free again
	if !b.keys.ClaimedByOther("a", "one", "edge") || b.keys.ClaimedByOther("a", "three", "edge") {
		b.Errorf("a revoked key keeps its sources")
	}
}
