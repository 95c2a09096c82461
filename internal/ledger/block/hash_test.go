package block

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"testing"

	"github.com/dchest/siphash"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// framed is the message that docs/format.md says is hashed.
func framed(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.LittleEndian.AppendUint64(out, uint64(len(p)))
		out = append(out, p...)
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

func TestIdentityIsSipHashOfTheFramedMessage(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	check := func(org, source, id string, tail []byte) {
		t.Helper()
		hi, lo := siphash.Hash128(testKey.K0, testKey.K1, append(framed([]byte(org), []byte(source)), tail...))
		if got := testKey.Identity(org, source, id); got != (Hash{hi, uint32(lo)}) {
			t.Fatalf("%q %q %q: %x, want %x %x", org, source, id, got, hi, uint32(lo))
		}
	}
	for n := range 40 {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte('a' + r.IntN(26))
		}
		check("acme", string(text), "id", append([]byte("id"), tagText))
		check(string(text), "s", string(text), append(text, tagText))
		u := randomUUID(r)
		raw, err := hex.DecodeString(string(u[:8]) + string(u[9:13]) + string(u[14:18]) + string(u[19:23]) + string(u[24:]))
		if err != nil {
			t.Fatal(err)
		}
		check("acme", "source", string(u), append(raw, tagUUID))
	}
}

func TestSipForms(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for n := range 30 {
		head, tail := make([]byte, 8*r.IntN(4)), make([]byte, n)
		for _, b := range [][]byte{head, tail} {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
		state := newSip(testKey)
		for i := 0; i < len(head); i += 8 {
			state = state.word(binary.LittleEndian.Uint64(head[i:]))
		}
		tag := byte(r.Uint32())
		message := append(append(head, tail...), tag)
		if got, want := state.sum64(tail, tag), siphash.Hash(testKey.K0, testKey.K1, message); got != want {
			t.Fatalf("%x: %x, want %x", message, got, want)
		}
		if n == 8 {
			if got, want := state.word64(binary.LittleEndian.Uint64(tail), tag), siphash.Hash(testKey.K0, testKey.K1, message); got != want {
				t.Fatalf("%x: %x, want %x", message, got, want)
			}
		}
		if n == 16 {
			if got, want := state.words64(binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:]), tag), siphash.Hash(testKey.K0, testKey.K1, message); got != want {
				t.Fatalf("%x: %x, want %x", message, got, want)
			}
		}
	}
}

func TestIdentitiesAreFramed(t *testing.T) {
	t.Parallel()
	seen := map[Hash]string{}
	for _, parts := range [][3]string{
		{"a", "b", "c"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "", "bc"}, {"a", "bc", ""}, {"abc", "", ""}, {"", "", "abc"},
		{"a", "b", "c\x00"}, {"a", "b\x00", "c"}, {"a\x00", "b", "c"}, {"a", "b", "\x00c"},
	} {
		h := testKey.Identity(parts[0], parts[1], parts[2])
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %s have one hash", parts, other)
		}
		seen[h] = fmt.Sprintf("%q", parts)
	}
	if testKey.Identity("a", "b", "c") == (Key{1, 2}).Identity("a", "b", "c") {
		t.Error("the key does not matter")
	}
}

func TestContentLeavesDiffer(t *testing.T) {
	t.Parallel()
	check := func(env Envelope, data ...attribute) uint64 {
		b := NewBuilder(testKey, "acme", "")
		g := generated{env, data}
		stageOne(t, b, &g)
		return b.Rows().Checks[0]
	}
	env := Envelope{Source: []byte("s"), ID: []byte("i"), Type: []byte("t"), Time: 5}
	with := func(change func(*Envelope)) Envelope { e := env; change(&e); return e }
	str, num := meter.StringValue, func(v int64) meter.Value { return meter.NumberValue(meter.QuantityFromInt64(v)) }
	seen := map[uint64]int{}
	for i, sum := range []uint64{
		check(env),
		check(with(func(e *Envelope) { e.Type = []byte("u") })),
		check(with(func(e *Envelope) { e.Time = 6 })),
		check(with(func(e *Envelope) { e.HasSubject = true })),
		check(with(func(e *Envelope) { e.HasSubject, e.Subject = true, []byte("t") })),
		check(env, attribute{"a", str("")}),
		check(env, attribute{"a", str("1")}),
		check(env, attribute{"b", str("1")}),
		check(env, attribute{"a", num(1)}),
		check(env, attribute{"a", num(-1)}),
		check(env, attribute{"a", meter.Value{Kind: meter.JSON, Str: "1"}}),
		check(env, attribute{"a", meter.Value{Kind: meter.Null}}),
		check(env, attribute{"a", meter.BoolValue(true)}),
		check(env, attribute{"a", meter.BoolValue(false)}),
		check(env, attribute{"a", str("x")}, attribute{"b", str("y")}),
		check(env, attribute{"a", str("y")}, attribute{"b", str("x")}),
		check(env, attribute{"a\xffb", str("x")}),
		check(env, attribute{"a", str("1")}, attribute{"a2", str("1")}),
	} {
		if j, ok := seen[sum]; ok {
			t.Errorf("contents %d and %d have one check", i, j)
		}
		seen[sum] = i
	}
	one := check(env, attribute{"a", str("x")}, attribute{"b", num(2)})
	if two := check(env, attribute{"b", num(2)}, attribute{"a", str("x")}); one != two {
		t.Error("the order of the attributes matters")
	}
	if other := check(with(func(e *Envelope) { e.ID, e.Source = []byte("j"), []byte("r") })); other != check(env) {
		t.Error("the identity is part of the content")
	}
}

var canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func TestParseUUIDTakesCanonicalTextOnly(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	for range 20 {
		text := randomUUID(r)
		var u [16]byte
		if !parseUUID(&u, text) || string(appendUUID(nil, u[:])) != string(text) {
			t.Fatalf("%s does not survive", text)
		}
		for i := range text {
			for c := range 256 {
				changed := append([]byte(nil), text...)
				changed[i] = byte(c)
				if got := parseUUID(&u, changed); got != canonicalUUID.Match(changed) {
					t.Fatalf("%q: %v", changed, got)
				}
			}
		}
		if parseUUID(&u, text[:35]) || parseUUID(&u, append(text, '0')) {
			t.Fatal("wrong length taken")
		}
	}
}
