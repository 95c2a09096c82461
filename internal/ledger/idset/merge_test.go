package idset

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

func TestPickMerge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		sizes []uint64
		busy  int
		want  int
	}{
		{"none", nil, 0, 0},
		{"one", []uint64{5}, 7, 0},
		{"three alike", []uint64{5, 5, 5}, 0, 0},
		{"four alike", []uint64{5, 5, 5, 5}, 0, 4},
		{"four alike and one a little larger", []uint64{5, 5, 5, 5, 30}, 0, 5},
		{"four alike and one much larger", []uint64{5, 5, 5, 5, 31}, 0, 4},
		{"seven unlike", []uint64{1, 4, 16, 64, 256, 1024, 4096}, 0, 0},
		{"eight unlike", []uint64{1, 4, 16, 64, 256, 1024, 4096, 16384}, 0, 2},
		{"seven unlike and one being made", []uint64{1, 4, 16, 64, 256, 1024, 4096}, 1, 2},
	} {
		if got := pickMerge(c.sizes, c.busy, defaultTierFanout, defaultMaxRuns); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestMergingKeepsUp plays the policy over many seals of many sizes: never
// more runs than allowed, and every identity rewritten a few times only.
func TestMergingKeepsUp(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for _, c := range []struct {
		name  string
		seals int
		size  func() uint64
		most  float64 // times an identity is rewritten
	}{
		{"200 M in millions", 200, func() uint64 { return 1_000_000 }, 4},
		{"1 G in millions", 1000, func() uint64 { return 1_000_000 }, 6},
		{"by the clock, mostly idle", 5000, func() uint64 { return 1000 }, 8},
		{"all sizes", 1000, func() uint64 { return 1 + rng.Uint64()>>(43+rng.IntN(21)) }, 6},
	} {
		var sizes []uint64
		var total, rewritten uint64
		for range c.seals {
			n := c.size()
			sizes, total = append(sizes, n), total+n
			slices.Sort(sizes)
			for {
				n := pickMerge(sizes, 0, defaultTierFanout, defaultMaxRuns)
				if n == 0 {
					break
				}
				var sum uint64
				for _, s := range sizes[:n] {
					sum += s
				}
				rewritten += sum
				sizes = append(sizes[n:], sum)
				slices.Sort(sizes)
			}
			if len(sizes) >= defaultMaxRuns {
				t.Fatalf("%s: %d runs", c.name, len(sizes))
			}
		}
		times := float64(rewritten) / float64(total)
		t.Logf("%s: rewritten %.2f times, %d runs at the end", c.name, times, len(sizes))
		if times > c.most {
			t.Errorf("%s: rewritten %.2f times, at most %.0f expected", c.name, times, c.most)
		}
	}
}

func TestMergeOfCrowdedRuns(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	fs := vfs.NewMem()
	s := mustOpen(t, fs, nil, Options{RecentSlots: 2000})
	es := entries(rng, 6000, crowdedHash)
	for part := range slices.Chunk(es, 700) {
		seal(t, s, part)
	}
	mergeAll(t, s)
	if m := s.manifest(); len(m) != 1 || m[0].Entries != 6000 || m[0].Tier == 0 {
		t.Fatalf("manifest %v", m)
	}
	absent := make([]block.Hash, 1000)
	for i := range absent {
		absent[i] = crowdedHash(rng)
		for _, e := range es {
			if e.Hash == absent[i] {
				absent[i] = block.Hash{Hi: 1 << 62}
			}
		}
	}
	checkAll(t, s, model(es), absent)
	manifest := s.manifest()
	mustClose(t, s)
	s = mustOpen(t, fs, manifest, Options{})
	checkAll(t, s, model(es), absent)
	mustClose(t, s)
}

// TestMergeKeepsTheEarliest feeds what no sound history has: one identity in
// several runs.
func TestMergeKeepsTheEarliest(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000})
	defer mustClose(t, s)
	es := entries(rng, 300, randomHash)
	want := model(es)
	late := slices.Clone(es[100:])
	for i := range late {
		late[i].Check++
		if i%2 == 0 {
			late[i].Seq += 10
		} else {
			late[i].Ord++
		}
	}
	seal(t, s, late)
	seal(t, s, es)
	mergeAll(t, s)
	if m := s.manifest(); len(m) != 1 || m[0].Entries != 300 {
		t.Fatalf("manifest %v", m)
	}
	checkAll(t, s, want, nil)
}

func TestMergesSideBySide(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000})
	es := entries(rng, 1600, randomHash)
	for part := range slices.Chunk(es[:800], 200) {
		seal(t, s, part)
	}
	large := s.PlanMerge()
	if large == nil || large.Len() != 800 || s.PlanMerge() != nil {
		t.Fatal("the four runs should be merged, once")
	}
	for part := range slices.Chunk(es[800:], 200) {
		seal(t, s, part)
	}
	small := s.PlanMerge()
	if small == nil || small.Len() != 800 {
		t.Fatal("the four runs that came later should be merged beside")
	}
	for _, m := range []*Merge{small, large} {
		info, err := m.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.InstallMerge(m, info)
		m.abort() // does nothing now
	}
	if m := s.manifest(); len(m) != 2 {
		t.Fatalf("manifest %v", m)
	}
	checkAll(t, s, model(es), nil)
	mustClose(t, s)
	if s.Memory() != 0 {
		t.Errorf("%d bytes not given back", s.Memory())
	}
}

func TestMergeIsGivenUp(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, es := twoRuns(t, fs, 500)
	before := filesIn(t, fs, "ids")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.PlanMerge().Run(ctx)
	wantKind(t, err, meter.KindUnavailable, "a merge whose context has ended")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not say why", err)
	}
	if got := filesIn(t, fs, "ids"); !slices.Equal(got, before) {
		t.Errorf("files %v, want %v", got, before)
	}
	mergeAll(t, s)
	checkAll(t, s, model(es), nil)
}

// TestLookupLeavesOutWhatWasProbed shows what since is for: runs that a view
// has covered are not read again, wherever merges have put their identities.
func TestLookupLeavesOutWhatWasProbed(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000})
	defer mustClose(t, s)
	es := entries(rng, 900, randomHash)
	seal(t, s, es[:300])
	v := s.Sealed()
	defer v.Release()
	seal(t, s, es[300:600])
	check := func(what string, e Entry, since uint64, want bool) {
		t.Helper()
		s.Free()
		if _, ok, err := s.Lookup(e.Hash, since); ok != want || err != nil {
			t.Errorf("%s: %v %v, want %v", what, ok, err, want)
		}
	}
	check("in the view", es[0], v.Version(), false)
	check("in the view, looked for everywhere", es[0], 0, true)
	check("sealed after the view", es[300], v.Version(), true)
	check("sealed before the current version", es[300], v.Version()+1, false)
	mergeAll(t, s)
	check("merged with what came after the view", es[300], v.Version(), true)
	for _, e := range es[600:] {
		s.Insert(e)
	}
	check("recent", es[600], math.MaxUint64, true)
	f := s.Freeze()
	check("frozen", es[600], math.MaxUint64, true)
	info, err := f.Write(nil)
	if err != nil {
		t.Fatal(err)
	}
	check("written", es[600], math.MaxUint64, true)
	s.Install(f, info)
	check("installed after the view", es[600], v.Version(), true)
	if v2 := s.Sealed(); v2.Version() != v.Version()+2 || v2.Len() != 900 {
		t.Errorf("version %d with %d identities", v2.Version(), v2.Len())
	} else {
		v2.Release()
	}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	for _, hash := range []func(*rand.Rand) block.Hash{randomHash, crowdedHash} {
		s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 3000})
		es := entries(rng, 5000, hash)
		for part := range slices.Chunk(es, 1700) {
			seal(t, s, part)
		}
		v := s.Sealed()
		all := sorted(es)
		for _, bounds := range [][2]uint64{{0, math.MaxUint64}, {0, 0}, {math.MaxUint64, math.MaxUint64}, {1 << 62, 1 << 63}, {1<<63 + 500, 1<<63 + 600}, {2, 1}, {rng.Uint64() / 2, rng.Uint64()}} {
			var want, got []Entry
			for _, e := range all {
				if bounds[0] <= e.Hash.Hi && e.Hash.Hi <= bounds[1] {
					want = append(want, e)
				}
			}
			last := -1
			err := v.Walk(t.Context(), bounds[0], bounds[1], func(run int, some []Entry) error {
				if !slices.IsSortedFunc(some, func(a, b Entry) int { return compareHash(a.Hash, b.Hash) }) || run < last || len(some) > 0 && run == last && len(got) > 0 && !lessHash(got[len(got)-1].Hash, some[0].Hash) {
					t.Errorf("run %d after %d is out of order", run, last)
				}
				if len(some) > 0 {
					last = run
				}
				got = append(got, some...)
				return nil
			})
			if got = sorted(got); err != nil || !slices.Equal(got, want) {
				t.Errorf("[%x,%x]: %d entries, %v; want %d", bounds[0], bounds[1], len(got), err, len(want))
			}
		}
		stop := errors.New("stop")
		if err := v.Walk(t.Context(), 0, math.MaxUint64, func(int, []Entry) error { return stop }); err != stop {
			t.Errorf("got %v, want the callback's error", err)
		}
		// What a look-up would not come to is told.
		r := v.view.runs[rng.IntN(len(v.view.runs))]
		page := rng.IntN(len(r.index))
		r.index[page]++
		wantKind(t, v.Walk(t.Context(), 0, math.MaxUint64, func(int, []Entry) error { return nil }), meter.KindCorrupt, "Walk over a wrong index")
		r.index[page]--
		kept := r.filter.blocks[0]
		r.filter.blocks[0] = filterBlock{}
		if err := v.Walk(t.Context(), 0, math.MaxUint64, func(int, []Entry) error { return nil }); kept != (filterBlock{}) && meter.KindOf(err) != meter.KindCorrupt {
			t.Errorf("over a wrong filter: %v", err)
		}
		r.filter.blocks[0] = kept
		v.Release()
		mustClose(t, s)
	}
}

func TestClosedSet(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000, MaxRuns: 2})
	es := entries(fixedtest.Rand(t), 700, randomHash)
	seal(t, s, es[:200])
	seal(t, s, es[200:400])
	v := s.Sealed()
	done, planned := s.PlanMerge(), (*Merge)(nil)
	info, err := done.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seal(t, s, es[400:500])
	seal(t, s, es[500:600])
	planned = s.PlanMerge()
	for _, e := range es[600:] {
		s.Insert(e)
	}
	f := s.Freeze()
	mustClose(t, s)
	mustClose(t, s)

	found := make([]Found, 200)
	if err := v.Probe(hashesOf(es[:200]), found); err != nil || found[0] != (Found{true, es[0]}) {
		t.Errorf("a view that is held must stay readable: %v", err)
	}
	v.Release()
	after := s.Sealed()
	wantKind(t, after.Probe(hashesOf(es[:200]), found), meter.KindUnavailable, "Probe")
	wantKind(t, after.Walk(t.Context(), 0, 1, nil), meter.KindUnavailable, "Walk")
	after.Release()
	_, _, err = s.Lookup(es[0].Hash, math.MaxUint64)
	wantKind(t, err, meter.KindUnavailable, "Lookup")
	_, err = f.Write(nil)
	wantKind(t, err, meter.KindUnavailable, "Write")
	_, err = planned.Run(t.Context())
	wantKind(t, err, meter.KindUnavailable, "Run")
	if s.Insert(es[0]) || s.PlanMerge() != nil || s.Free() != 0 {
		t.Error("a closed set takes identities or plans merges")
	}
	s.Warm(hashesOf(es), 0)
	s.Install(f, RunInfo{})
	s.InstallMerge(done, info)
	if s.Memory() != 0 {
		t.Errorf("%d bytes not given back", s.Memory())
	}
}

func TestMisuseIsNoticed(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000, MaxRuns: 2})
	defer mustClose(t, s)
	es := entries(fixedtest.Rand(t), 100, randomHash)
	seal(t, s, es[:50])
	seal(t, s, es[50:])
	f, m := s.Freeze(), s.PlanMerge()
	for name, misuse := range map[string]func(){
		"installing twice":          func() { s.Install(f, RunInfo{}); s.Install(f, RunInfo{}) },
		"installing an unrun merge": func() { s.InstallMerge(m, RunInfo{}) },
		"installing an unwritten":   func() { s.Insert(es[0]); s.Install(s.Freeze(), RunInfo{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s went unnoticed", name)
				}
			}()
			misuse()
		}()
	}
	m.abort()
}
