package storetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

var historyCases = []testCase{
	{"a random history of keys agrees with a naive model", randomHistory},
	{"a change whose context has ended is not made", endedContext},
}

// modelKey is what the naive model knows of a key.
type modelKey struct {
	organization, id string
	expires          time.Time
	revoked          bool
}

// model is a catalog's keys, by token, and the tokens in the order of their creation.
type model struct {
	keys   map[string]*modelKey
	tokens []string
}

func randomHistory(b *bench) {
	r := fixedtest.Rand(b)
	organizations := []string{"a", "b", "c"}
	for _, id := range organizations {
		b.organization(id)
	}
	m := &model{keys: map[string]*modelKey{}}
	for range 300 {
		organization := organizations[r.IntN(3)]
		switch op := r.IntN(20); {
		case op < 5 || len(m.tokens) == 0:
			m.create(b, r, organization)
		case op < 8:
			m.revoke(b, m.any(r), organization)
		case op < 9:
			b.clock.Advance(time.Duration(r.IntN(3600)) * time.Second)
		case op < 10:
			b.reopen(b.limit)
		default:
			m.authenticate(b, m.any(r))
		}
	}
	for _, token := range m.tokens {
		m.authenticate(b, token)
	}
	for _, id := range organizations {
		m.list(b, id)
	}
}

func (m *model) any(r *rand.Rand) string { return m.tokens[r.IntN(len(m.tokens))] }

func (m *model) create(b *bench, r *rand.Rand, organization string) {
	n := access.NewKey{Organization: organization, Role: access.RoleIngest}
	if r.IntN(2) == 0 {
		n.Expires = b.clock.Now().Add(time.Duration(1+r.IntN(7200)) * time.Second)
	}
	k, token := b.key(n)
	m.keys[token] = &modelKey{organization: organization, id: k.ID, expires: n.Expires}
	m.tokens = append(m.tokens, token)
}

func (m *model) revoke(b *bench, token, organization string) {
	k := m.keys[token]
	_, err := b.keys.RevokeKey(b.ctx, organization, k.id, by)
	if organization != k.organization {
		b.wantKind(err, meter.KindNotFound)
		return
	}
	b.must(err)
	k.revoked = true
}

func (m *model) authenticate(b *bench, token string) {
	k := m.keys[token]
	valid := !k.revoked && (k.expires.IsZero() || b.clock.Now().Before(k.expires))
	got, err := b.keys.AuthenticateKey(b.ctx, token)
	if !valid {
		b.wantKind(err, meter.KindUnauthenticated)
		return
	}
	b.must(err)
	if got.ID != k.id || got.Organization != k.organization {
		b.Fatalf("authenticated %+v, want %+v", got, k)
	}
}

func (m *model) list(b *bench, organization string) {
	var got, want []string
	for _, k := range pages(b, b.keysOf(organization), 3) {
		got = append(got, k.ID)
	}
	for _, k := range m.keys {
		if k.organization == organization {
			want = append(want, k.id)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.Fatalf("%s has keys %v, want %v", organization, got, want)
	}
}

func endedContext(b *bench) {
	b.organization("a")
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err := b.keys.RevokeKey(ctx, "a", k.ID, by)
	b.wantKind(err, meter.KindUnavailable)
	_, _, err = b.keys.CreateKey(ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindUnavailable)
	_, err = b.store.CreateOrganization(ctx, catalog.NewOrganization{ID: "b"}, actor)
	b.wantKind(err, meter.KindUnavailable)
	_, err = b.keys.Keys(ctx, "a", catalog.Page{})
	b.wantKind(err, meter.KindUnavailable)
	_, err = b.keys.AuthenticateKey(b.ctx, token)
	b.must(err)
	if got := len(b.audit("a")); got != 2 {
		b.Fatalf("%d audit entries, want 2", got)
	}
}
