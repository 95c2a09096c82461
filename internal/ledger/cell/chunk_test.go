package cell

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// randomChunk returns the chunk of one day with up to events random events.
func randomChunk(t testing.TB, rng *rand.Rand, kind Kind, perDay, events int) []byte {
	tab := NewTable(0)
	n := tab.Series(only(tab, 1, kind), nil)
	spread := 1 + rng.IntN(perDay)
	for range events {
		add(rng, tab, kind, n, int32(rng.IntN(spread)))
	}
	return flushOne(t, tab, kind, perDay)
}

// flushOne returns the chunk of a table with one series and one day.
func flushOne(t testing.TB, tab *Table, kind Kind, perDay int) []byte {
	t.Helper()
	var out []byte
	err := Flush(tab, nil, func(_, value []byte) error {
		out = bytes.Clone(value)
		return nil
	}, func(uint32) (Plan, bool) {
		return Plan{Layout: Layout{Version: 1, Kind: kind, SlotsPerDay: perDay}, Projections: []Projection{{ID: ProjectionAll}}}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if out == nil {
		out = emptyChunk(kind, perDay)
	}
	return out
}

func emptyChunk(kind Kind, perDay int) []byte {
	var p page
	p.reset(kind, perDay, 0)
	return p.encode(nil)
}

// decode reads a chunk into a map from slot to state.
func decode(value []byte) (map[int]*State, error) {
	var r chunkReader
	if err := r.Reset(value); err != nil {
		return nil, err
	}
	out := map[int]*State{}
	last := -1
	for r.Next() {
		if r.Slot() <= last || r.Slot() >= r.SlotsPerDay() {
			return nil, corrupt("slots out of order")
		}
		last = r.Slot()
		s := &State{Kind: r.Kind()}
		s.Merge(r.State())
		out[last] = s
	}
	return out, r.Err()
}

func sameChunk(t testing.TB, what string, want, got map[int]*State) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%s: %d slots, want %d", what, len(got), len(want))
	}
	for slot, w := range want {
		if g := got[slot]; g == nil || !sameState(w, g) {
			t.Fatalf("%s: slot %d: %+v, want %+v", what, slot, got[slot], w)
		}
	}
}

// TestStoredForm pins the bytes of docs/format-cell.md.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	q := func(text string) meter.Quantity {
		v, err := meter.ParseQuantity(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		name string
		kind Kind
		fill func(tab *Table, n uint32)
		want string
	}{
		{"two events, sum 7", Numeric, func(tab *Table, n uint32) { tab.AddNumeric(tab.Cell(n, 5), 2, q("7")) }, "010100600105110207"},
		{"decimals", Numeric, func(tab *Table, n uint32) {
			tab.AddNumeric(tab.Cell(n, 0), 1, q("0.25"))
			tab.AddNumeric(tab.Cell(n, 95), 300, q("-1"))
			tab.AddNumeric(tab.Cell(n, 95), -600, q("0"))
		}, "0101026002005e1121" + "0119" + "d4fe9c"},
		{"largest value", Numeric, func(tab *Table, n uint32) {
			tab.AddNumeric(tab.Cell(n, 0), 1, q("99999999999999999999999999.999999999999"))
		},
			"01010c6001001c01ffffffff3f228a097ac4865aa84c3b4b"},
		{"bitmap", Numeric, func(tab *Table, n uint32) {
			for slot := range int32(12) {
				tab.addCount(tab.Cell(n, slot), 1)
			}
		}, "010900600cff0f00000000000000000000" + "101010101010101010101010" + "010101010101010101010101"},
		{"dirty", Min, func(tab *Table, n uint32) {
			tab.AddMin(tab.Cell(n, 3), q("9"))
			tab.Dirty(tab.Cell(n, 4), 300)
		}, "011200600203000301ac021100" + "0109"},
		{"last", Last, func(tab *Table, n uint32) { tab.AddLast(tab.Cell(n, 1), 2, []byte("src"), []byte("i"), q("1.5")) },
			"01040160010111010f02000000000000000373726301" + "69"},
		{"distinct", Distinct, func(tab *Table, n uint32) {
			tab.AddSet(tab.Cell(n, 1), 70000)
			tab.AddSet(tab.Cell(n, 1), 3)
			tab.AddSet(tab.Cell(n, 1), 3)
		}, "010500600101100302" + "00000300" + "00007011"},
	} {
		tab := NewTable(0)
		c.fill(tab, tab.Series(only(tab, 1, c.kind), nil))
		if got := fmt.Sprintf("%x", flushOne(t, tab, c.kind, 96)); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

// TestChunkCutShort reads every beginning of good chunks: each is an error,
// never a shorter answer.
func TestChunkCutShort(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for _, kind := range allKinds {
		for range 5 {
			value := randomChunk(t, rng, kind, 96, 1+rng.IntN(100))
			for i := range value {
				if _, err := decode(value[:i]); meter.KindOf(err) != meter.KindCorrupt {
					t.Fatalf("kind %d cut at %d of %x: %v", kind, i, value, err)
				}
			}
			if _, err := decode(append(bytes.Clone(value), 0)); meter.KindOf(err) != meter.KindCorrupt {
				t.Fatalf("kind %d with a byte more: %v", kind, err)
			}
		}
	}
}

// TestChunkDamaged lists headers and rows that no writer makes.
func TestChunkDamaged(t *testing.T) {
	t.Parallel()
	good := []byte{chunkVersion, byte(Numeric), 0, 96, 1, 5, 0x11, 2, 7}
	if got, err := decode(good); err != nil || got[5].Count != 2 || got[5].Sum.String() != "7" {
		t.Fatalf("the good one: %+v, %v", got, err)
	}
	change := func(at int, b ...byte) []byte {
		return append(append(bytes.Clone(good[:at]), b...), good[min(at+1, len(good)):]...)
	}
	huge := append(change(6, 0x1f)[:8], bytes.Repeat([]byte{0x7f}, maxWideBytes)...)
	for name, bad := range map[string][]byte{
		"empty":                         {},
		"other version":                 change(0, 2),
		"kind 0":                        change(1, 0),
		"kind 6":                        change(1, 6),
		"unknown flag":                  change(1, byte(Numeric)|0x40),
		"scale 13":                      change(2, 13),
		"no slots a day":                change(3, 0),
		"more slots a day than minutes": change(3, 0xa1, 0x0b),
		"more slots than a day has":     change(4, 97),
		"slot outside the day":          change(5, 96),
		"count of nine bytes":           append(change(6, 0x90), make([]byte, 8)...),
		"value past 192 bits":           huge,
		"dirty flag without a list":     change(1, byte(Numeric)|flagDirty),
		"bitmap of another count":       {chunkVersion, byte(Numeric) | flagBitmap, 0, 8, 1, 0x03, 0x11, 2, 7},
		"bitmap past the day":           {chunkVersion, byte(Numeric) | flagBitmap, 0, 7, 1, 0x80, 0x11, 2, 7},
		"min with a negative count":     {chunkVersion, byte(Min), 0, 96, 1, 5, 0x11, 0xff, 7},
		"min without a count":           {chunkVersion, byte(Min), 0, 96, 1, 5, 0x01, 7},
		"min past a quantity":           append([]byte{chunkVersion, byte(Min), 0, 96, 1, 5, 0x1c, 1}, bytes.Repeat([]byte{0x7f}, 16)...),
		"distinct with a number":        {chunkVersion, byte(Distinct), 0, 96, 1, 5, 0x11, 1, 7, 0},
		"dirty at sequence 0":           {chunkVersion, byte(Min) | flagDirty, 0, 96, 1, 5, 2, 0, 0, 0x00},
		"dirty past the last slot":      {chunkVersion, byte(Min) | flagDirty, 0, 96, 1, 5, 2, 1, 9, 0x00},
	} {
		if _, err := decode(bad); meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChunkSlotsPerDay takes the limit and one past it.
func TestChunkSlotsPerDay(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	if _, err := decode(randomChunk(t, rng, Numeric, maxSlotsPerDay, 5000)); err != nil {
		t.Fatal(err)
	}
	for _, perDay := range []int{0, maxSlotsPerDay + 1} {
		l := Layout{Kind: Numeric, SlotsPerDay: perDay}
		if l.check() == nil {
			t.Errorf("%d slots a day are allowed", perDay)
		}
	}
	l := Layout{Kind: Distinct + 1, SlotsPerDay: 96}
	if l.check() == nil {
		t.Error("an unknown kind is allowed")
	}
}

// FuzzChunk feeds the reader arbitrary bytes. What it accepts must survive
// being written and read again, and merging with itself must not fail in any other way than by range.
func FuzzChunk(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, kind := range allKinds {
		f.Add(randomChunk(f, rng, kind, 1, 3))
		f.Add(randomChunk(f, rng, kind, 96, 3))
		f.Add(randomChunk(f, rng, kind, 24, 40))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		states, err := decode(value)
		if err != nil {
			if meter.KindOf(err) != meter.KindCorrupt {
				t.Fatal(err)
			}
			return
		}
		var r chunkReader
		if err := r.Reset(value); err != nil {
			t.Fatal(err)
		}
		var p page
		p.reset(r.kind, r.perDay, r.scale)
		if err := p.addChunk(&r); err != nil {
			t.Fatal(err)
		}
		again, err := decode(p.encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		for slot, s := range states {
			if s.empty() {
				delete(states, slot)
			}
		}
		sameChunk(t, "written again", states, again)
		if _, err := Merge(value, value); err != nil && meter.KindOf(err) != meter.KindCorrupt {
			t.Fatal(err)
		}
	})
}

// parsedKey is what the key of a chunk says.
type parsedKey struct {
	Org        string
	Version    uint32
	Projection uint8
	Group      []uint64
	Day        int32
}

// parseKey reads a key without the caller's prefix. What is no key of a chunk
// is an error of KindCorrupt.
func parseKey(key []byte) (parsedKey, error) {
	in := decoder{b: key}
	k := parsedKey{Org: string(in.text())}
	version, projection := in.bytes(4), in.bytes(1)
	if in.bad || len(in.b)%8 != dayBytes {
		return parsedKey{}, corrupt("not a key")
	}
	k.Version, k.Projection, k.Day = binary.BigEndian.Uint32(version), projection[0], takeDay(in.b)
	for b := in.b; len(b) > dayBytes; b = b[8:] {
		k.Group = append(k.Group, binary.BigEndian.Uint64(b))
	}
	return k, nil
}

func FuzzKey(f *testing.F) {
	l := Layout{Org: "acme", Version: 3}
	f.Add(l.AppendKey(nil, 1, []uint64{1, 2}, -5))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKey(b)
		if err != nil {
			return
		}
		l := Layout{Org: k.Org, Version: k.Version}
		again, err := parseKey(l.AppendKey(nil, k.Projection, k.Group, k.Day))
		if err != nil || again.Day != k.Day || again.Org != k.Org || len(again.Group) != len(k.Group) {
			t.Fatalf("%+v became %+v: %v", k, again, err)
		}
	})
}

func TestKeysSortByDay(t *testing.T) {
	t.Parallel()
	l := Layout{Prefix: []byte{9}, Org: "acme", Version: 3}
	var last []byte
	for _, day := range []int32{-1 << 31, -1, 0, 1, 1<<31 - 1} {
		key := l.AppendKey(nil, ProjectionCustomer, []uint64{7}, day)
		if bytes.Compare(last, key) >= 0 {
			t.Fatalf("day %d sorts before an earlier one", day)
		}
		last = key
		k, err := parseKey(key[1:])
		if err != nil || k.Day != day || k.Org != "acme" || k.Version != 3 || k.Projection != ProjectionCustomer || len(k.Group) != 1 || k.Group[0] != 7 {
			t.Fatalf("%+v, %v", k, err)
		}
	}
}
