package idset

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/ledger/block"
)

// A history does random things to a set, the way the ledger does them, and
// compares every answer with a map. Its log keeps what was accepted, so that
// after a crash the tail behind the checkpoint is inserted again.
type history struct {
	t    *testing.T
	rng  *rand.Rand
	hash func(*rand.Rand) block.Hash
	opt  Options

	mem    *vfs.MemFS
	fs     vfs.FS
	faults *faults
	set    *Set

	log        []Entry
	known      map[block.Hash]Entry
	checkpoint checkpoint
	frozen     []*frozenAt
	merge      *Merge
	merged     RunInfo
	views      []*viewAt
	pins       []*Pin
}

// checkpoint is what the ledger stores atomically.
type checkpoint struct {
	manifest []RunInfo
	applied  int // entries of the log that the runs cover
}

type frozenAt struct {
	f       *Frozen
	applied int
	info    RunInfo
	written bool
}

type viewAt struct {
	v      *Sealed
	sealed map[block.Hash]bool // what it must find
}

func newHistory(t *testing.T, rng *rand.Rand) *history {
	h := &history{t: t, rng: rng, known: map[block.Hash]Entry{}, hash: randomHash,
		opt: Options{RecentSlots: 16 + rng.IntN(1000), MaxRuns: 2 + rng.IntN(8), TierFanout: 2 + rng.IntN(4)}}
	if rng.IntN(2) == 0 {
		h.hash = crowdedHash
	}
	h.mount(vfs.NewCrashableMem())
	h.open()
	return h
}

// mount makes mem the file system, behind faults that are off.
func (h *history) mount(mem *vfs.MemFS) {
	h.mem = mem
	h.faults = &faults{rng: h.rng}
	h.fs = errorfs.Wrap(mem, h.faults)
}

// open opens the set at the checkpoint, perhaps after failed attempts, and
// replays the log behind it.
func (h *history) open() {
	for {
		h.maybeFaults()
		s, err := Open(h.fs, "ids", h.checkpoint.manifest, h.opt)
		faulty := h.faultsOff()
		if err == nil {
			h.set = s
			break
		}
		if !faulty {
			h.t.Fatalf("open: %v", err)
		}
	}
	h.frozen, h.merge, h.views, h.pins = nil, nil, nil, nil
	for i, e := range h.log[h.checkpoint.applied:] {
		if !h.set.Insert(e) {
			h.freeze(h.checkpoint.applied + i)
			h.must(h.set.Insert(e), "no room in a new table")
		}
	}
}

func (h *history) maybeFaults() {
	if h.rng.IntN(4) == 0 {
		h.faults.on = true
	}
}

// faultsOff turns faults off and says whether they were on.
func (h *history) faultsOff() bool {
	on := h.faults.on
	h.faults.on = false
	return on
}

// faults fails one file operation in twenty while on.
type faults struct {
	on  bool
	rng *rand.Rand
}

func (f *faults) MaybeError(errorfs.Op) error {
	if f.on && f.rng.IntN(20) == 0 {
		return errorfs.ErrInjected
	}
	return nil
}

func (f *faults) String() string { return "one in twenty" }

func (h *history) must(ok bool, format string, args ...any) {
	h.t.Helper()
	if !ok {
		h.t.Fatalf(format, args...)
	}
}

func (h *history) noError(err error, what string) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

func (h *history) freeze(applied int) {
	h.frozen = append(h.frozen, &frozenAt{f: h.set.Freeze(), applied: applied})
}

func (h *history) insert() {
	for range h.rng.IntN(200) {
		e := Entry{Hash: h.hash(h.rng), Check: h.rng.Uint64(), Seq: uint64(len(h.log) / 20), Ord: uint32(len(h.log) % 20)}
		if _, ok := h.known[e.Hash]; ok {
			continue
		}
		if h.set.Free() == 0 {
			h.freeze(len(h.log))
		}
		if !h.set.Insert(e) { // only hashes crafted to collide
			h.freeze(len(h.log))
			h.must(h.set.Insert(e), "no room in a new table")
		}
		h.known[e.Hash] = e
		h.log = append(h.log, e)
	}
}

// someHashes returns hashes known and unknown.
func (h *history) someHashes() []block.Hash {
	hashes := make([]block.Hash, h.rng.IntN(100))
	for i := range hashes {
		if len(h.log) > 0 && h.rng.IntN(2) == 0 {
			hashes[i] = h.log[h.rng.IntN(len(h.log))].Hash
		} else {
			hashes[i] = h.hash(h.rng)
		}
	}
	return hashes
}

// lookup asks as a request and the fold do; faults may fail an answer but not falsify it.
func (h *history) lookup() {
	hashes := h.someHashes()
	found := make([]Found, len(hashes))
	view, since := (*viewAt)(nil), uint64(0)
	h.maybeFaults()
	defer h.faultsOff()
	if len(h.views) > 0 {
		view = h.views[h.rng.IntN(len(h.views))]
		since = view.v.Version()
		if err := view.v.Probe(hashes, found); err != nil {
			h.must(h.faults.on, "probe: %v", err)
			return
		}
	}
	h.set.Warm(hashes, since)
	for i, hash := range hashes {
		want, known := h.known[hash]
		got, ok := found[i].Entry, found[i].OK
		if view != nil {
			h.must(ok == view.sealed[hash], "a view finds %v: %v, want %v", hash, ok, view.sealed[hash])
		}
		if !ok {
			var err error
			got, ok, err = h.set.Lookup(hash, since)
			if err != nil {
				h.must(h.faults.on, "lookup: %v", err)
				continue
			}
		}
		h.must(ok == known && got == want, "%v: got %v %v, want %v %v", hash, got, ok, want, known)
	}
}

func (h *history) takeView() {
	v := h.set.Sealed()
	sealed := map[block.Hash]bool{}
	for _, e := range h.log[:h.checkpoint.applied] {
		sealed[e.Hash] = true
	}
	h.must(v.Len() == uint64(len(sealed)), "a view of %d identities, want %d", v.Len(), len(sealed))
	h.views = append(h.views, &viewAt{v, sealed})
}

func (h *history) releaseView() {
	if len(h.views) == 0 {
		return
	}
	i := h.rng.IntN(len(h.views))
	h.views[i].v.Release()
	h.views = slices.Delete(h.views, i, i+1)
}

func (h *history) write() {
	for _, f := range h.frozen {
		if f.written {
			continue
		}
		h.maybeFaults()
		info, err := f.f.Write(nil)
		if faulty := h.faultsOff(); err != nil {
			h.must(faulty, "write: %v", err)
			return
		}
		h.must(info.Entries == uint64(f.f.Len()), "%d entries written, want %d", info.Entries, f.f.Len())
		f.info, f.written = info, true
		return
	}
}

// commit stores a checkpoint with the oldest frozen table, and the finished
// merge if there is one; then installs both.
func (h *history) commit() {
	if len(h.frozen) == 0 || !h.frozen[0].written {
		return
	}
	f := h.frozen[0]
	m := h.merge
	if m != nil && h.merged.ID == 0 || h.rng.IntN(3) == 0 {
		m = nil
	}
	h.checkpoint = checkpoint{h.set.ManifestWith(f.f, f.info, m, h.merged), f.applied}
	if h.rng.IntN(8) == 0 {
		h.crash() // committed and not installed
		return
	}
	h.frozen = h.frozen[1:]
	h.set.Install(f.f, f.info)
	if m != nil {
		h.set.InstallMerge(m, h.merged)
		h.merge, h.merged = nil, RunInfo{}
	}
	got, want := h.set.manifest(), slices.Clone(h.checkpoint.manifest)
	byID := func(a, b RunInfo) int { return int(a.ID) - int(b.ID) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	h.must(slices.Equal(got, want), "manifest %v, want %v", got, want)
}

func (h *history) planMerge() {
	if h.merge != nil {
		return
	}
	h.merge, h.merged = h.set.PlanMerge(), RunInfo{}
	if h.merge != nil && h.rng.IntN(5) == 0 {
		h.merge.abort()
		h.merge = nil
	}
}

func (h *history) runMerge() {
	if h.merge == nil || h.merged.ID != 0 {
		return
	}
	want := h.merge.Len()
	h.maybeFaults()
	info, err := h.merge.Run(h.t.Context())
	if faulty := h.faultsOff(); err != nil {
		h.must(faulty, "merge: %v", err)
		h.merge = nil
		return
	}
	h.must(info.Entries == want, "%d entries merged, want %d", info.Entries, want)
	h.merged = info
}

func (h *history) removeObsolete() {
	h.maybeFaults()
	err := h.set.RemoveObsolete()
	if faulty := h.faultsOff(); err != nil {
		h.must(faulty, "remove: %v", err)
	}
	for _, info := range h.checkpoint.manifest {
		_, err := h.mem.Stat(h.set.path(runName(info.ID)))
		h.noError(err, "a named file")
	}
}

// pin pins the checkpoint, as a backup does, or lets go of a pin; what is
// pinned can be linked and opened at any time.
func (h *history) pin() {
	if len(h.pins) == 0 || h.rng.IntN(2) == 0 {
		p, err := h.set.Pin(h.checkpoint.manifest)
		h.noError(err, "pin")
		h.pins = append(h.pins, p)
		return
	}
	i := h.rng.IntN(len(h.pins))
	p := h.pins[i]
	dir := fmt.Sprintf("backup-%d", h.rng.Uint64())
	h.noError(p.LinkTo(dir), "link")
	s, err := Open(h.mem, dir, p.runs, h.opt)
	h.noError(err, "open a backup")
	h.noError(s.Close(), "close a backup")
	h.noError(h.mem.RemoveAll(dir), "remove a backup")
	p.Release()
	h.pins = slices.Delete(h.pins, i, i+1)
}

// reopen closes the set in order and opens it again.
func (h *history) reopen() {
	for len(h.views) > 0 {
		h.releaseView()
	}
	if h.merge != nil && (h.merged.ID == 0 || h.rng.IntN(2) == 0) {
		h.merge.abort()
	}
	h.noError(h.set.Close(), "close")
	h.must(h.set.Memory() == 0, "%d bytes not given back", h.set.Memory())
	h.open()
	h.onlyNamed()
}

// crash goes on with what the disk may hold when power is lost now.
func (h *history) crash() {
	old, views := h.set, h.views
	h.mount(h.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: h.rng.IntN(101), RNG: h.rng}))
	h.open()
	h.onlyNamed()
	for _, v := range views {
		v.v.Release()
	}
	h.noError(old.Close(), "close what has crashed")
}

// onlyNamed checks that opening has left nothing but the checkpoint's files.
func (h *history) onlyNamed() {
	var want []string
	for _, info := range h.checkpoint.manifest {
		want = append(want, runName(info.ID))
	}
	slices.Sort(want)
	got := filesIn(h.t, h.mem, "ids")
	h.must(slices.Equal(got, want), "files %v, want %v", got, want)
}

func TestHistories(t *testing.T) {
	t.Parallel()
	rounds := 30
	if testing.Short() {
		rounds = 6
	}
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, fixedtest.Rand(t))
			steps := []func(){h.insert, h.insert, h.lookup, h.lookup, h.takeView, h.releaseView,
				func() { h.freeze(len(h.log)) }, h.write, h.write, h.commit, h.commit, h.planMerge, h.runMerge, h.removeObsolete, h.pin}
			for n := range 400 {
				steps[h.rng.IntN(len(steps))]()
				if n%50 == 49 {
					checkAll(t, h.set, maps.Clone(h.known), nil)
					if h.rng.IntN(2) == 0 {
						h.crash()
					} else {
						h.reopen()
					}
				}
			}
			checkAll(t, h.set, h.known, nil)
			h.reopen()
			mustClose(t, h.set)
		})
	}
}
