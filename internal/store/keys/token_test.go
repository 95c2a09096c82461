package keys

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/store"
)

func FuzzParseToken(f *testing.F) {
	good := formatToken(randomText(keyIDBytes), randomText(secretBytes))
	for _, seed := range []string{"", "odo_", good, good[:len(good)-1], good + "x", strings.Repeat("_", len(good)), strings.ToUpper(good), "odo_é" + good[6:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, secret, ok := parseToken(token)
		if !ok {
			if id != "" || secret != "" {
				t.Fatalf("refused, and yet %q %q", id, secret)
			}
			return
		}
		if len(id) != keyIDBytes || len(secret) != secretBytes || formatToken(id, secret) != token {
			t.Fatalf("%q became %q and %q", token, id, secret)
		}
		if strings.Trim(id+secret, tokenLetters) != "" {
			t.Fatalf("%q has other letters", token)
		}
	})
}

func TestRandomTextIsEven(t *testing.T) {
	t.Parallel()
	const n = 62 * 2000
	counts := map[rune]int{}
	for _, r := range randomText(n) {
		counts[r]++
	}
	if len(counts) != len(tokenLetters) {
		t.Fatalf("%d letters, want %d", len(counts), len(tokenLetters))
	}
	for r, count := range counts {
		// 2000 expected, standard deviation 44: seven of them.
		if count < 2000-7*44 || count > 2000+7*44 {
			t.Errorf("%c came %d times", r, count)
		}
	}
}

func BenchmarkAuthenticateKey(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "catalog.db"), store.Options{Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	keys, err := Open(b.Context(), db, "")
	if err != nil {
		b.Fatal(err)
	}
	token, err := keys.EnsureDefault(b.Context(), "test")
	if err != nil {
		b.Fatal(err)
	}
	wrong := token[:len(token)-secretBytes] + randomText(secretBytes)
	unknown := formatToken(randomText(keyIDBytes), randomText(secretBytes))
	for _, c := range []struct{ name, token string }{{"valid", token}, {"wrong", wrong}, {"unknown", unknown}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := keys.AuthenticateKey(b.Context(), c.token); (err == nil) != (c.name == "valid") {
						b.Error(err)
					}
				}
			})
		})
	}
}
