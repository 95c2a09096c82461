package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/keys"
)

// sharedCases are about several stores on one catalog, each as if in a process of its own.
var sharedCases = []testCase{
	{"a key made by another process is valid here", sharedCreate},
	{"a key revoked by another process is refused here", sharedRevoke},
	{"keys changed while the connection was broken are seen", sharedReconnect},
	{"an EdgeGrid key made and revoked by another process", sharedEdgeGrid},
	{"a catalog belongs to the first ledger until it is given to another", sharedBinding},
}

// RunShared runs what holds of databases that processes share, besides Run.
// disconnect breaks the connections of everyone who uses a DSN.
func RunShared(t *testing.T, fresh func(t *testing.T) string, disconnect func(t *testing.T, dsn string)) {
	for name, room := range map[string]int64{"keys are held": 0, "no key is held": 1} {
		for _, c := range sharedCases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, fresh(t), room)
				b.disconnect = func() { disconnect(t, b.dsn) }
				c.run(b)
			})
		}
	}
}

// seenWithin ends a wait for a change by another process that is never seen. It
// is no promise: a busy machine may take long over what takes a moment.
const seenWithin = store.KeysCheckEvery + 30*time.Minute

// other opens the catalog once more.
func (b *bench) other() (*store.Store, *keys.Store) {
	b.Helper()
	s, err := store.Open(b.ctx, b.dsn, b.options())
	b.must(err)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Errorf("Close: %v", err)
		}
	})
	keys, err := keys.Open(b.ctx, s, b.file)
	b.must(err)
	return s, keys
}

// eventually waits until done holds; each look costs the database one answer.
func (b *bench) eventually(what string, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(seenWithin); !done(); {
		if time.Now().After(deadline) {
			b.Fatalf("not within %v: %s", seenWithin, what)
		}
		_ = b.store.Ping(b.ctx) // it may fail while connections are broken
	}
}

func (b *bench) valid(k *keys.Store, token string) func() bool {
	return func() bool {
		_, err := k.AuthenticateKey(b.ctx, token)
		return err == nil
	}
}

func not(f func() bool) func() bool { return func() bool { return !f() } }

func sharedCreate(b *bench) {
	_, otherKeys := b.other()
	b.organization("a")
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest, Customer: "acme"})
	b.eventually("the other process knows the key", b.valid(otherKeys, token))
	got, err := otherKeys.AuthenticateKey(b.ctx, token)
	b.must(err)
	if got != k {
		b.Errorf("the other process has %+v, want %+v", got, k)
	}
	back, token, err := otherKeys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, actor)
	b.must(err)
	b.eventually("this process knows the other's key", b.valid(b.keys, token))
	b.clock.Advance(2 * time.Hour)
	b.must(otherKeys.FlushLastUsed(b.ctx))
	_, err = b.keys.AuthenticateKey(b.ctx, token)
	b.must(err)
	// A refresh does not forget what is known of a key's last use.
	_, third := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	b.eventually("the third key", b.valid(otherKeys, third))
	if got := b.used(back); !got.Equal(b.clock.Now()) {
		b.Errorf("used at %v, want %v", got, b.clock.Now())
	}
}

func sharedRevoke(b *bench) {
	b.organization("a")
	gone, token := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest})
	_, stays := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest})
	_, otherKeys := b.other()
	_, err := otherKeys.AuthenticateKey(b.ctx, token)
	b.must(err)
	_, err = b.keys.RevokeKey(b.ctx, "a", gone.ID, by)
	b.must(err)
	_, err = b.keys.AuthenticateKey(b.ctx, token) // at once where it was revoked
	b.wantKind(err, meter.KindUnauthenticated)
	b.eventually("the other process refuses the key", not(b.valid(otherKeys, token)))
	_, err = otherKeys.AuthenticateKey(b.ctx, stays)
	b.must(err)
}

func sharedReconnect(b *bench) {
	b.organization("a")
	gone, token := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest})
	_, otherKeys := b.other()
	for range 3 {
		b.disconnect()
		var fresh string
		b.eventually("a key can be made", func() bool {
			_, made, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, actor)
			fresh = made
			return err == nil
		})
		b.eventually("a key made after the break is known", b.valid(otherKeys, fresh))
	}
	b.disconnect()
	b.eventually("the key can be revoked", func() bool {
		_, err := b.keys.RevokeKey(b.ctx, "a", gone.ID, by)
		return err == nil
	})
	b.eventually("a key revoked after the break is refused", not(b.valid(otherKeys, token)))
}

func sharedEdgeGrid(b *bench) {
	b.organization("a")
	_, otherKeys := b.other()
	k, c := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead})
	known := func() bool {
		got, credential, known := b.signer(otherKeys, c.ClientToken)
		return known && got == k && credential == c
	}
	b.eventually("the other process knows the credential", known)
	_, err := b.keys.RevokeKey(b.ctx, "a", k.ID, by)
	b.must(err)
	b.eventually("the other process does not know it any more", not(known))
}

func sharedBinding(b *bench) {
	b.organization("a") // changes need no ledger where none is named
	b.must(b.store.BindLedger(b.ctx, "first"))
	b.must(b.store.BindLedger(b.ctx, "first"))
	other, _ := b.other()
	err := other.BindLedger(b.ctx, "second")
	b.wantKind(err, meter.KindConflict)
	if !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "second") {
		b.Errorf("%v", err)
	}
	b.reopen(b.limit)
	b.must(b.store.BindLedger(b.ctx, "first"))

	before, err := other.RebindLedger(b.ctx, "second")
	b.must(err)
	if before != "first" {
		b.Errorf("it was bound to %q", before)
	}
	if _, err := other.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "b"}, actor); err != nil {
		b.Error(err)
	}
	// The first ledger's process changes nothing any more.
	_, err = b.store.CreateOrganization(b.ctx, catalog.NewOrganization{ID: "c"}, actor)
	b.wantKind(err, meter.KindConflict)
	_, _, err = b.keys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindConflict)
	page, err := b.store.Organizations(b.ctx, catalog.Page{})
	b.must(err)
	if ids := len(page.Items); ids != 2 || slices.ContainsFunc(page.Items, func(o catalog.Organization) bool { return o.ID == "c" }) {
		b.Errorf("organizations %+v", page.Items)
	}
	for _, id := range []string{"", strings.Repeat("x", store.MaxLedgerIDBytes+1), "a\nb"} {
		b.wantKind(b.store.BindLedger(b.ctx, id), meter.KindInvalid)
		_, err := b.store.RebindLedger(b.ctx, id)
		b.wantKind(err, meter.KindInvalid)
	}
	_, err = other.RebindLedger(b.ctx, strings.Repeat("x", store.MaxLedgerIDBytes))
	b.must(err)
}
