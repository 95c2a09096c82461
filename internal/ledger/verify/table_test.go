package verify

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// testMeters are one meter of each kind of cell.
func testMeters() []*storedMeter {
	var out []*storedMeter
	for i, a := range []meter.Aggregation{meter.AggSum, meter.AggMin, meter.AggMax, meter.AggLast, meter.AggUniqueCount} {
		r := state.MeterRecord{Meter: meter.Meter{Key: fmt.Sprint(a), EventType: "e", Aggregation: a, Value: "v", GroupBy: []string{"customer", "region"}}, Version: uint32(i + 1)}
		out = append(out, &storedMeter{r.Cells("default"), r})
	}
	return out
}

// fill counts random events.
func fill(r *rand.Rand, n int, to *table, full func()) {
	for range n {
		m := int32(r.IntN(len(to.meters)))
		texts := []uint32{to.text(fmt.Sprint("c", r.IntN(20))), to.text([]string{"", "eu", "us"}[r.IntN(3)])}
		c := contents{count: 1, number: numberOf(meter.QuantityFromInt64(r.Int64() - math.MaxInt64/2)),
			latest: latest{r.Int64N(100), meter.Identity{Source: "s", ID: fmt.Sprint(r.IntN(1000))}}}
		if to.meters[m].Record.Meter.Aggregation == meter.AggUniqueCount {
			c.number = number{}
			c.texts = []uint32{to.text(fmt.Sprint("v", r.IntN(30)))}
		}
		to.add(to.meters[m].Kind, to.seriesOf(m, 0, texts), int32(r.IntN(200)-100), &c)
		full()
	}
}

// said lists the cells of a table.
func said(t *table) (out []string) {
	for _, p := range t.sorted(false) {
		s := &t.series[p.key>>32]
		m := t.meters[s.meter]
		at := t.at(p.cell - 1)
		out = append(out, fmt.Sprintf("%s %q %s %s", m.Record.Meter.Key, t.group(s), slotTime(m, slotOf(p.key)), t.say(m.Kind, at)))
		if m.Record.Meter.Aggregation == meter.AggLast {
			out[len(out)-1] += fmt.Sprint(t.latest[at.side-1].time)
		}
	}
	slices.Sort(out)
	return out
}

// What goes through files, is merged there and split again is what one table adds up.
func TestSpilledCellsAreTheSame(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	seed := r.Uint64()
	meters := testMeters()
	whole := newTable(meters)
	fill(rand.New(rand.NewPCG(seed, 0)), 20_000, whole, func() {})
	want := said(whole)

	s := &spill{above: t.TempDir()}
	small := newTable(meters)
	parts := newPartitions(s, "counted", 0, 4, 1<<10)
	const bound = 200 << 10
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	empty := func() {
		check(parts.write(small))
		small.reset()
		check(parts.flush())
		check(parts.merge(small, math.MaxInt64))
	}
	written := int64(0)
	fill(rand.New(rand.NewPCG(seed, 0)), 20_000, small, func() {
		if small.held > bound {
			empty()
			written = max(written, parts.size())
		}
	})
	empty()
	var have []string
	for i, p := range parts.parts {
		all := []*part{p}
		if i%2 == 1 {
			finer, err := p.split(len(meters), 8, splitWays, 1<<10)
			check(err)
			all = finer.parts
		}
		for _, p := range all {
			small.reset()
			_, err := small.load(p, math.MaxInt64)
			check(err)
			have = append(have, said(small)...)
			check(p.remove())
		}
	}
	if slices.Sort(have); !slices.Equal(have, want) {
		t.Errorf("%d cells through files, %d in one table", len(have), len(want))
	}
	// Merging keeps the files near what is in them.
	once := newPartitions(s, "once", 0, 4, 1<<10)
	check(once.write(whole))
	check(once.flush())
	if most := 3*once.size() + 2*bound; written > most {
		t.Errorf("%d bytes of files at most, want up to %d", written, most)
	}
	check(s.close())
}

func TestNumbersOfRecords(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	numbers := []number{{}, {1}, {math.MaxUint64, math.MaxUint64, math.MaxUint64}, {0x7f}, {0x80}, {0xff}, {0, 0, 1 << 63}, {0, 0, 1<<63 - 1}, {math.MaxUint64}, {0, 1},
		{^uint64(0x7f), math.MaxUint64, math.MaxUint64}, {^uint64(0x80), math.MaxUint64, math.MaxUint64}, {0, math.MaxUint64, math.MaxUint64}}
	for range 1000 {
		q := meter.QuantityFromInt64(r.Int64() >> r.IntN(64))
		if r.IntN(2) == 0 {
			q = q.Neg()
		}
		numbers = append(numbers, numberOf(q))
	}
	for _, n := range numbers {
		var w recordWriter
		w.number(n)
		read := recordReader{b: w.b}
		if got := read.number(); got != n || read.bad || len(read.b) != 0 {
			t.Errorf("%v is read as %v from %x", n, got, w.b)
		}
		for _, o := range numbers[:20] {
			sum := n
			sum.add(o)
			want := meter.SumFromWords(n[0], n[1], int64(n[2]))
			want.AddSum(meter.SumFromWords(o[0], o[1], int64(o[2])))
			if sum.String() != want.String() || n.compare(o) != meter.SumFromWords(n[0], n[1], int64(n[2])).Cmp(meter.SumFromWords(o[0], o[1], int64(o[2]))) {
				t.Errorf("%v + %v = %v, want %v", n, o, sum, want)
			}
		}
	}
}

// A temporary file that was damaged is no damage of what is verified, and a disk
// without room is told with what is missing.
func TestTemporaryFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(dir, spillFolder, "counted-0")
	if err := errors.Join(os.Mkdir(filepath.Dir(left), 0o700), os.WriteFile(left, []byte("of a run that was killed"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := newSpill(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &part{spill: s, name: "counted-0"}
	for i := range 100 {
		if err := p.add(fmt.Appendf(nil, "record %d;", i), 64); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (got string, err error) {
		err = p.frames(func(payload []byte) error { got += string(payload); return nil })
		return got, err
	}
	if got, err := read(); err != nil || got[:18] != "record 0;record 1;" {
		t.Fatalf("%q %v", got, err)
	}
	b, err := os.ReadFile(left)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 5, 20, len(b) - 1} {
		bad := slices.Clone(b)
		bad[at] ^= 1
		if err := os.WriteFile(left, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(); meter.KindOf(err) != meter.KindUnavailable {
			t.Errorf("byte %d flipped: %v", at, err)
		}
	}
	if err := s.check(math.MaxInt64); meter.KindOf(err) != meter.KindStorageFull {
		t.Error(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v are left, error %v", names, err)
	}
}

// Sightings that are judged in several rounds, because they outgrow the memory,
// are judged as at once.
func TestJudgedInRounds(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	all := newIdentities(&spill{above: t.TempDir()}, 100_000, 64<<10)
	if got := len(all.lists); got < fewestParts {
		t.Fatalf("%d parts", got)
	}
	j := &judgement{v: &verifier{}}
	first := map[uint64]uint64{} // check by hash
	var list []sighting
	for i := range 3000 {
		s := sighting{check: uint64(r.IntN(2)), seq: uint64(i/100 + 1), ord: uint32(i % 100)}
		s.hash.Hi = uint64(r.IntN(500))
		if check, ok := first[s.hash.Hi]; !ok {
			first[s.hash.Hi] = s.check
		} else if s.stored = meter.Conflict; check == s.check {
			s.stored = meter.Duplicate
		}
		if i == 1234 {
			s.stored = meter.Verdict((s.stored + 1) % 3)
		}
		if got := takeSighting(s.append(nil)); got != s {
			t.Fatalf("%+v is read as %+v", s, got)
		}
		if list = append(list, s); len(list) > 700 {
			list = j.judge(list)
		}
	}
	list = j.judge(list)
	if len(list) != len(first) || len(j.found.list) != 1 || j.found.list[0][:len("event 34 of block 13 ")] != "event 34 of block 13 " {
		t.Errorf("%d firsts of %d, found %q", len(list), len(first), j.found.list)
	}
}

// Places keep what a map keeps, through growing and clearing.
func TestPlaces(t *testing.T) {
	t.Parallel()
	r := fixedtest.Rand(t)
	var p places
	for range 3 {
		want := map[uint64]uint32{}
		for range 20_000 {
			key := cellKey(uint32(r.IntN(300)), int32(r.IntN(200)-100))
			have, ok := p.get(key)
			if cell, known := want[key]; known != ok || ok && cell != have {
				t.Fatalf("%x: %d, %v, want %d, %v", key, have, ok, cell, known)
			}
			if !ok {
				want[key] = uint32(len(want))
				p.put(key, want[key])
			}
		}
		if p.used != len(want) {
			t.Fatalf("%d places of %d", p.used, len(want))
		}
		p.clear()
	}
}
