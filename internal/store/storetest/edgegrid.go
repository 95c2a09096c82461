package storetest

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
	"odometer/internal/store/keys"
)

var edgeGridCases = []testCase{
	{"an EdgeGrid key is found by its client token, also after a restart", edgeGridFound},
	{"an EdgeGrid key is not found when it is unknown, expired or revoked", edgeGridGone},
	{"an EdgeGrid key is no bearer token, and a token no EdgeGrid key", edgeGridKinds},
	{"an EdgeGrid key is refused where a key is", edgeGridRefused},
	{"an EdgeGrid key without its key file does not authenticate", edgeGridLocked},
}

func (b *bench) edgeGrid(n access.NewKey) (access.Key, access.Credential) {
	b.Helper()
	k, c, err := b.keys.CreateEdgeGridKey(b.ctx, n, actor)
	b.must(err)
	return k, c
}

func edgeGridFound(b *bench) {
	b.organization("a")
	k, c := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead, Customer: "acme", Accounts: []string{"A-2", "A-1", "A-2"}})
	if k.Kind != access.KindEdgeGrid || !k.Accounts.Has("A-1") || k.Accounts.Has("A-") || len(k.Accounts.List()) != 2 {
		b.Errorf("%+v", k)
	}
	if !strings.HasPrefix(c.ClientToken, "akab-") || !strings.HasPrefix(c.AccessToken, "akab-") || len(c.ClientSecret) < 40 || c.ClientToken == c.AccessToken {
		b.Errorf("a credential's form is %d, %d, %d bytes", len(c.ClientToken), len(c.AccessToken), len(c.ClientSecret))
	}
	for range 2 {
		got, credential, known := b.signer(b.keys, c.ClientToken)
		if !known || got != k || credential != c {
			b.Errorf("found %v: %+v", known, got)
		}
		one, err := b.keys.Key(b.ctx, "a", k.ID)
		b.must(err)
		if one != k {
			b.Errorf("read %+v, want %+v", one, k)
		}
		b.reopen(b.limit)
	}
	b.keys.UseKey(k.ID)
	b.keys.UseKey("unknown")
	if got := b.used(k); !got.Equal(b.clock.Now()) {
		b.Errorf("used at %v", got)
	}
	for _, e := range b.audit("a") {
		text, err := json.Marshal(e)
		b.must(err)
		if bytes.Contains(text, []byte(c.ClientSecret)) || bytes.Contains(text, []byte(c.ClientToken)) {
			b.Error("the audit has a credential")
		}
	}
	info, err := os.Stat(b.file)
	b.must(err)
	if info.Mode().Perm() != 0o600 || info.Size() != 32 {
		b.Errorf("the key file has %d bytes and mode %v", info.Size(), info.Mode())
	}
}

func edgeGridGone(b *bench) {
	b.organization("a")
	expired, c := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead, Expires: b.clock.Now().Add(time.Hour)})
	revoked, r := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead})
	_, err := b.keys.RevokeKey(b.ctx, "a", revoked.ID, by)
	b.must(err)
	b.clock.Set(expired.Expires)
	var decoy access.Credential
	for _, token := range []string{"", "akab-x", c.ClientToken, r.ClientToken, c.AccessToken} {
		k, credential, known := b.signer(b.keys, token)
		if known || k != (access.Key{}) || credential.ClientSecret == "" || credential == c || credential == r {
			b.Errorf("%+v is known", k)
		}
		if decoy != (access.Credential{}) && credential != decoy {
			b.Error("unknown tokens differ")
		}
		decoy = credential
	}
	b.reopen(b.limit)
	if _, _, known := b.signer(b.keys, r.ClientToken); known {
		b.Error("a revoked key is known after a restart")
	}
}

func edgeGridKinds(b *bench) {
	b.organization("a")
	k, c := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead})
	_, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead, DefaultAID: "7"})
	_, err := b.keys.AuthenticateKey(b.ctx, "odo_"+k.ID+"_"+c.ClientSecret)
	b.wantKind(err, meter.KindUnauthenticated)
	if _, _, known := b.signer(b.keys, token); known {
		b.Error("a token is a client token")
	}
	got, err := b.keys.AuthenticateKey(b.ctx, token)
	b.must(err)
	if got.Accounts != "" || got.DefaultAID != "7" {
		b.Errorf("%+v", got)
	}
}

func edgeGridRefused(b *bench) {
	b.organization("a")
	many := make([]string, access.MaxAccounts+1)
	for i := range many {
		many[i] = string(rune('a'+i%26)) + strings.Repeat("x", i/26)
	}
	_, c := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead, Accounts: many[:access.MaxAccounts]})
	b.reopen(b.limit)
	if k, _, _ := b.signer(b.keys, c.ClientToken); len(k.Accounts.List()) != access.MaxAccounts {
		b.Errorf("%d accounts", len(k.Accounts.List()))
	}
	for want, bad := range map[meter.Kind][]access.NewKey{
		meter.KindInvalid: {
			{Organization: "a", Role: "x"}, {Organization: "a", Role: access.RoleRead, Kind: access.KindToken},
			{Organization: "a", Role: access.RoleRead, Accounts: []string{"A:1"}}, {Organization: "a", Role: access.RoleRead, Accounts: []string{""}},
			{Organization: "a", Role: access.RoleRead, DefaultAID: "7"}, {Organization: "a", Role: access.RoleIngest}, {Organization: "a", Role: access.RoleReport},
			{Organization: "a", Role: access.RoleAdmin, Strict: true}, {Organization: "a", Role: access.RoleAdmin, Operator: true}, {Organization: "a", Role: access.RoleAdmin, Customer: "c"},
		},
		meter.KindTooLarge: {{Organization: "a", Role: access.RoleRead, Accounts: many}},
		meter.KindNotFound: {{Organization: "b", Role: access.RoleRead}},
	} {
		for _, n := range bad {
			_, _, err := b.keys.CreateEdgeGridKey(b.ctx, n, actor)
			b.wantKind(err, want)
		}
	}
	_, _, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead, Kind: access.KindEdgeGrid}, actor)
	b.wantKind(err, meter.KindInvalid)
}

func edgeGridLocked(b *bench) {
	b.organization("a")
	k, c := b.edgeGrid(access.NewKey{Organization: "a", Role: access.RoleRead})
	_, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	good, err := os.ReadFile(b.file)
	b.must(err)
	for _, content := range [][]byte{nil, {}, bytes.Repeat([]byte{7}, 32), append(good, 0)} {
		b.must(os.Remove(b.file))
		if content != nil {
			b.must(os.WriteFile(b.file, content, 0o600))
		}
		b.reopen(b.limit)
		if _, _, known := b.signer(b.keys, c.ClientToken); known {
			b.Errorf("known with a key file of %d bytes", len(content))
		}
		if _, err := b.keys.AuthenticateKey(b.ctx, token); err != nil {
			b.Error(err)
		}
		if content == nil {
			b.must(os.WriteFile(b.file, good, 0o600))
		}
	}
	b.must(os.WriteFile(b.file, good, 0o600))
	b.must(os.Chmod(b.file, 0o640))
	b.reopen(b.limit)
	_, _, err = b.keys.CreateEdgeGridKey(b.ctx, access.NewKey{Organization: "a", Role: access.RoleRead}, actor)
	b.wantKind(err, meter.KindInvalid)
	b.must(os.Chmod(b.file, 0o600))
	b.reopen(b.limit)
	if got, _, known := b.signer(b.keys, c.ClientToken); !known || got.ID != k.ID {
		b.Error("the right key file does not help")
	}
	_, err = b.keys.RevokeKey(b.ctx, "a", k.ID, by)
	b.must(err)
}

// signer is the key of a client token; what cannot be looked up fails the test.
func (b *bench) signer(all *keys.Store, clientToken string) (access.Key, access.Credential, bool) {
	b.Helper()
	k, c, known, err := all.EdgeGridKey(b.ctx, clientToken)
	if err != nil {
		b.Error(err)
	}
	return k, c, known
}
