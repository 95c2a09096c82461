package storetest

import (
	"strings"
	"sync"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var ringCases = []testCase{
	{"a token that is not valid gets one answer, whatever is wrong with it", authenticateConstant},
	{"a key is valid until the instant at which it expires", authenticateExpiry},
	{"a revoked key is refused when the call returns, and for ever", authenticateRevoked},
	{"keys made, used and revoked concurrently are right", authenticateConcurrent},
	{"a key's last use is known to the hour", lastUsed},
	{"last uses are kept by a flush and by closing", lastUsedKept},
}

func authenticateConstant(b *bench) {
	b.organization("a")
	_, good := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	_, expired := b.key(access.NewKey{Organization: "a", Role: access.RoleRead, Expires: b.clock.Now().Add(time.Second)})
	gone, revoked := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	_, err := b.keys.RevokeKey(b.ctx, "a", gone.ID, by)
	b.must(err)
	b.clock.Advance(time.Minute)
	_, err = b.keys.AuthenticateKey(b.ctx, good)
	b.must(err)

	other := func(c byte) string {
		if c == 'x' {
			return "y"
		}
		return "x"
	}
	last := len(good) - 1
	for name, token := range map[string]string{
		"empty":         "",
		"not a token":   "hello",
		"too short":     good[:last],
		"too long":      good + "x",
		"prefix":        "Odo" + good[3:],
		"unknown id":    good[:4] + other(good[4]) + good[5:],
		"wrong secret":  good[:last] + other(good[last]),
		"first secret":  good[:21] + other(good[21]) + good[22:],
		"other secret":  good[:21] + expired[21:],
		"separator":     good[:20] + "-" + good[21:],
		"not printable": good[:last] + "\x00",
		"other case":    strings.ToUpper(good),
		"space":         " " + good[1:],
		"expired":       expired,
		"revoked":       revoked,
	} {
		k, err := b.keys.AuthenticateKey(b.ctx, token)
		if got := message(err); got != "unauthenticated: the key is not valid" || k != (access.Key{}) {
			b.Errorf("%s: key %+v, answer %q", name, k, got)
		}
	}
}

func authenticateExpiry(b *bench) {
	b.organization("a")
	expires := b.clock.Now().Add(time.Hour)
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead, Expires: expires})
	for _, step := range []struct {
		at    time.Time
		valid bool
	}{
		{k.Created, true},
		{expires.Add(-1), true},
		{expires, false},
		{expires.Add(time.Hour), false},
		{expires.Add(-1), true}, // the clock went back
	} {
		b.clock.Set(step.at)
		_, err := b.keys.AuthenticateKey(b.ctx, token)
		if (err == nil) != step.valid {
			b.Fatalf("at %v: %v", step.at, err)
		}
		if err != nil {
			b.wantKind(err, meter.KindUnauthenticated)
		}
		b.reopen(b.limit)
	}
	page, err := b.keys.Keys(b.ctx, "a", catalog.Page{})
	b.must(err)
	if len(page.Items) != 1 {
		b.Fatal("an expired key is listed no more")
	}
}

func authenticateRevoked(b *bench) {
	b.organization("a")
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest})
	_, stays := b.key(access.NewKey{Organization: "a", Role: access.RoleIngest})
	for range 3 { // the key is hot
		_, err := b.keys.AuthenticateKey(b.ctx, token)
		b.must(err)
	}
	_, err := b.keys.RevokeKey(b.ctx, "a", k.ID, by)
	b.must(err)
	for range 2 {
		_, err = b.keys.AuthenticateKey(b.ctx, token)
		b.wantKind(err, meter.KindUnauthenticated)
		_, err = b.keys.AuthenticateKey(b.ctx, stays)
		b.must(err)
		b.reopen(b.limit)
	}
}

func authenticateConcurrent(b *bench) {
	b.organization("a")
	b.organization("b")
	const workers, rounds = 8, 10
	var wg sync.WaitGroup
	valid := make([][]string, workers)
	for w := range workers {
		organization := []string{"a", "b"}[w%2]
		wg.Go(func() {
			for round := range rounds {
				k, token, err := b.keys.CreateKey(b.ctx, access.NewKey{Organization: organization, Role: access.RoleRead}, actor)
				if err != nil {
					b.Error(err)
					return
				}
				if got, err := b.keys.AuthenticateKey(b.ctx, token); err != nil || got.ID != k.ID {
					b.Errorf("a new key: %+v, %v", got, err)
				}
				if round%2 == 0 {
					valid[w] = append(valid[w], token)
					continue
				}
				if _, err := b.keys.RevokeKey(b.ctx, organization, k.ID, by); err != nil {
					b.Error(err)
				}
				if _, err := b.keys.AuthenticateKey(b.ctx, token); meter.KindOf(err) != meter.KindUnauthenticated {
					b.Errorf("a revoked key: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for range 2 {
		for w := range workers {
			if len(valid[w]) != rounds/2 {
				b.Fatalf("worker %d has %d keys", w, len(valid[w]))
			}
			for _, token := range valid[w] {
				_, err := b.keys.AuthenticateKey(b.ctx, token)
				b.must(err)
			}
		}
		b.reopen(b.limit)
	}
	for _, organization := range []string{"a", "b"} {
		entries := b.audit(organization)
		if want := 1 + workers/2*(rounds+rounds/2); len(entries) != want {
			b.Fatalf("%s has %d audit entries, want %d", organization, len(entries), want)
		}
		for i, e := range entries {
			if e.Number != int64(i+1) {
				b.Fatalf("%s: audit entry %d has number %d", organization, i+1, e.Number)
			}
		}
	}
}

// used is the last use of a key as Key and Keys tell it.
func (b *bench) used(k access.Key) time.Time {
	b.Helper()
	one, err := b.keys.Key(b.ctx, k.Organization, k.ID)
	b.must(err)
	page, err := b.keys.Keys(b.ctx, k.Organization, catalog.Page{})
	b.must(err)
	for _, listed := range page.Items {
		if listed.ID == k.ID && listed != one {
			b.Fatalf("listed %+v, read %+v", listed, one)
		}
	}
	return one.LastUsed
}

func lastUsed(b *bench) {
	b.organization("a")
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	if got := b.used(k); !got.IsZero() {
		b.Fatalf("a key that was not used was used at %v", got)
	}
	_, err := b.keys.AuthenticateKey(b.ctx, token[:len(token)-1]+"_")
	b.wantKind(err, meter.KindUnauthenticated)
	if got := b.used(k); !got.IsZero() {
		b.Fatalf("a refused use counts: %v", got)
	}
	noon := b.clock.Now()
	for _, step := range []struct{ after, want time.Duration }{
		{0, 0},
		{59 * time.Minute, 0},
		{time.Hour, time.Hour},
		{30 * time.Minute, time.Hour}, // the clock went back
		{49*time.Hour + time.Minute, 49 * time.Hour},
	} {
		b.clock.Set(noon.Add(step.after))
		_, err := b.keys.AuthenticateKey(b.ctx, token)
		b.must(err)
		if got, want := b.used(k), noon.Add(step.want); !got.Equal(want) {
			b.Fatalf("used after %v: %v, want %v", step.after, got, want)
		}
	}
}

func lastUsedKept(b *bench) {
	b.organization("a")
	k, token := b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	b.key(access.NewKey{Organization: "a", Role: access.RoleRead})
	b.must(b.keys.FlushLastUsed(b.ctx))
	noon := b.clock.Now()
	for hour := range 3 {
		b.clock.Set(noon.Add(time.Duration(hour) * time.Hour))
		_, err := b.keys.AuthenticateKey(b.ctx, token)
		b.must(err)
		if hour == 1 {
			b.must(b.keys.FlushLastUsed(b.ctx))
			b.must(b.keys.FlushLastUsed(b.ctx))
		}
		b.reopen(b.limit)
		if got, want := b.used(k), noon.Add(time.Duration(hour)*time.Hour); !got.Equal(want) {
			b.Fatalf("after a restart: %v, want %v", got, want)
		}
	}
}
