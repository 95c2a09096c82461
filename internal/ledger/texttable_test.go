package ledger

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
)

// The table has every text while it has room; then it forgets shard by shard,
// says which it may lack, and never takes more than it may.
func TestTextTable(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	const most = 1 << 20
	table := newTextTable(most, true)
	hashes := []block.Hash{}
	for n := uint64(1); n <= 200_000; n++ {
		h := block.Hash{Hi: rng.Uint64(), Lo: rng.Uint32()}
		if number, complete := table.get(h); number != 0 || !complete && !table.full() {
			t.Fatalf("text %d is known before it is added, complete %v", n, complete)
		}
		table.put(h, n)
		hashes = append(hashes, h)
		if table.bytes > most {
			t.Fatalf("%d bytes after %d texts", table.bytes, n)
		}
		if number, _ := table.get(h); number != n {
			t.Fatalf("text %d is known as %d", n, number)
		}
		if !table.full() && n%1000 == 0 {
			at := rng.IntN(len(hashes))
			if number, complete := table.get(hashes[at]); number != uint64(at+1) || !complete {
				t.Fatalf("of %d texts, %d is known as %d, complete %v", n, at+1, number, complete)
			}
		}
	}
	if !table.full() {
		t.Fatal("the table has room for all")
	}
	known := 0
	for i, h := range hashes {
		switch number, complete := table.get(h); {
		case number == uint64(i+1):
			known++
		case number != 0:
			t.Fatalf("text %d is known as %d", i+1, number)
		case complete:
			t.Fatalf("text %d is forgotten, and the table calls itself complete", i+1)
		}
	}
	if known < most/textSlotBytes/4 {
		t.Errorf("%d texts are known in %d bytes", known, table.bytes)
	}
	t.Logf("%d of %d texts in %d bytes", known, len(hashes), table.bytes)
}

// A number beyond those that the table holds is looked up each time.
func TestTextTableOfHighNumbers(t *testing.T) {
	t.Parallel()
	table := newTextTable(1<<20, true)
	last, beyond := block.Hash{Hi: 1, Lo: 1}, block.Hash{Hi: 2, Lo: 2}
	table.put(last, 1<<textNumberBits-1)
	if number, complete := table.get(last); number != 1<<textNumberBits-1 || !complete {
		t.Errorf("%d, %v", number, complete)
	}
	table.put(beyond, 1<<textNumberBits)
	if number, complete := table.get(beyond); number != 0 || complete {
		t.Errorf("%d, %v", number, complete)
	}
}

// Texts keep their numbers when the fold has forgotten them, whether it reads
// them ahead after a start or looks them up one by one.
func TestForgottenTexts(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int64{1, 4096, 1 << 20} {
		fs := vfs.NewMem()
		o := Options{FS: fs, Dir: "/data", Limits: Limits{TextBytes: bytes}, Fatal: func(m string) { t.Error(m) }}
		const texts = 3000
		for life := range 3 {
			l, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if life == 0 {
				createMeters(t, l, "default", testMeters()[:1])
			}
			var events []testEvent
			for i := range texts {
				events = append(events, testEvent{id: fmt.Sprint(life, "-", i), subject: fmt.Sprint("customer-", i), at: testStart, data: map[string]any{"service": "s", "region": "r"}})
			}
			appendAll(t, l, "default", events)
			if l.texts.next != texts+3 {
				t.Errorf("%d bytes, life %d: the next number is %d", bytes, life, l.texts.next)
			}
			if st, _ := l.Meter("default", "requests"); !countsGroups(st.Groups, texts) {
				t.Errorf("%d groups are counted as %d", texts, st.Groups)
			}
			if life == 1 {
				if err := l.Checkpoint(); err != nil {
					t.Fatal(err)
				}
				verifyClean(t, l)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A replay that looks up many texts reads all of them once, where the table has room for them.
func TestReplayReadsTextsAhead(t *testing.T) {
	t.Parallel()
	const texts = 3000
	for _, c := range []struct {
		bytes int64
		tail  int // events
		read  bool
	}{
		{1 << 20, texts, true},
		{1 << 20, texts / lookupCost / 2, false}, // so few are looked up one by one
		{4096, texts, false},                     // no room
	} {
		mem := vfs.NewCrashableMem()
		o := Options{FS: mem, Dir: "/data", Limits: Limits{TextBytes: c.bytes}, Fatal: func(m string) { t.Error(m) }}
		l := openTest(t, o)
		createMeters(t, l, "default", testMeters()[:1])
		send := func(prefix string, n int) {
			for at := 0; at < n; at += 100 {
				var events []testEvent
				for i := at; i < min(n, at+100); i++ {
					events = append(events, testEvent{id: fmt.Sprint(prefix, i), subject: fmt.Sprint("customer-", i), at: testStart, data: map[string]any{"service": "s", "region": "r"}})
				}
				appendAll(t, l, "default", events)
			}
		}
		send("a", texts)
		if err := l.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		send("b", c.tail)
		o.FS = mem.CrashClone(vfs.CrashCloneCfg{})
		l = openTest(t, o)
		if l.texts.read != c.read || l.texts.next != texts+3 {
			t.Errorf("%d bytes, %d events: all are read: %v, the next number is %d", c.bytes, c.tail, l.texts.read, l.texts.next)
		}
		if most := uint64(texts/lookupCost + 101); c.read && l.texts.asked > most {
			t.Errorf("%d texts were looked up, at most %d are to be", l.texts.asked, most)
		}
		verifyClean(t, l)
	}
}

// Additions are written in order of their keys, whatever their lengths, beginnings and organizations.
func TestTextsInOrder(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	d := newTextDelta(5)
	for range 2000 {
		org := string(state.AppendOrg(nil, []string{"a", "ab", "b", "default", "default-2"}[rng.IntN(5)]))
		text := make([]byte, 1+rng.IntN(20))
		for i := range text {
			text[i] = "\x00\x01a\xff"[rng.IntN(4)]
		}
		d.add(block.Hash{Hi: rng.Uint64()}, org, text)
	}
	order := d.byText()
	seen := map[uint32]bool{}
	for i, p := range order {
		seen[p.at] = true
		if i > 0 && bytes.Compare(d.key(d.texts[order[i-1].at]), d.key(d.texts[p.at])) > 0 {
			t.Fatalf("%q before %q", d.key(d.texts[order[i-1].at]), d.key(d.texts[p.at]))
		}
	}
	if len(seen) != len(d.texts) {
		t.Fatalf("%d of %d texts", len(seen), len(d.texts))
	}
}

// Room that is reserved keeps what the table has, and stays within its bound.
func TestReserveTexts(t *testing.T) {
	t.Parallel()
	const texts = 5000
	hash := func(i int) block.Hash { return block.Key{K0: 1, K1: 2}.Texts("o").Hash(fmt.Append(nil, i)) }
	for _, most := range []int64{1 << 20, 4096} {
		table := newTextTable(most, false)
		for i := range 100 {
			table.put(hash(i), uint64(i+1))
		}
		table.reserve(texts)
		if table.bytes > most || (table.bytes >= texts*textSlotBytes) != (most > 4096) {
			t.Errorf("%d bytes of %d", table.bytes, most)
		}
		var hashes []block.Hash
		for i := range 100 {
			hashes = append(hashes, hash(i))
			if number, _ := table.get(hash(i)); number != uint64(i+1) && !table.full() {
				t.Errorf("text %d has number %d", i, number)
			}
		}
		table.warm(hashes)
	}
	newTextTable(1<<20, true).warm([]block.Hash{hash(1)}) // nothing is there
}
