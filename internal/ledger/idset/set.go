package idset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// writeCategory labels the set's writes in the file system's statistics.
const writeCategory vfs.DiskWriteCategory = "identities"

// Entry is what the set remembers of one identity: the content check of its
// first event, and where that is: block sequence (below 2^64-1) and row.
type Entry struct {
	Hash  block.Hash
	Check uint64
	Seq   uint64
	Ord   uint32
}

// RunInfo names one sealed run. The list of them, the manifest, is the
// caller's to store: atomically with the position in the log that it covers.
type RunInfo struct {
	ID       uint64 `json:"id"`      // of the file, see runName; 0 = no run, of a table that was empty
	Entries  uint64 `json:"entries"` // identities
	Bytes    uint64 `json:"bytes"`   // length of the file
	Tier     int    `json:"tier"`    // 0 for a sealed table, else one more than the highest merged into it
	Checksum uint64 `json:"checksum"`
}

// runName returns the name of a run's file within the set's directory.
func runName(id uint64) string { return fmt.Sprintf("%012d.run", id) }

func tempName(id uint64) string { return fmt.Sprintf("%012d.tmp", id) }

// Repair reports a part of a run file that was found damaged and made anew, in
// memory, from the run's pages. The file keeps its damage until it is merged.
type Repair struct {
	File string
	Part string // "index" or "filter"
	Err  error
}

// Defaults and bounds of Options.
const (
	defaultRecentSlots = 1_666_667 // 1 M identities at 60 %: 53 MB
	minRecentSlots     = 16
	maxRecentSlots     = 1 << 30
	defaultMaxRuns     = 8
	defaultTierFanout  = 4
	defaultBitsPerID   = 15
	maxBitsPerID       = 64
)

// Options sizes a set. The zero value of a field means its default.
type Options struct {
	RecentSlots int          // of the recent table, 32 bytes each
	MaxRuns     int          // sealed runs that merging keeps to; at least 2
	TierFanout  int          // runs of like size that are merged into one; at least 2
	BitsPerID   int          // of each run's filter
	OnRepair    func(Repair) // called by Open; may be nil
}

func (o Options) withDefaults() (Options, error) {
	for _, f := range []struct {
		name          string
		v             *int
		def, min, max int
	}{
		{"RecentSlots", &o.RecentSlots, defaultRecentSlots, minRecentSlots, maxRecentSlots},
		{"MaxRuns", &o.MaxRuns, defaultMaxRuns, 2, 1 << 10},
		{"TierFanout", &o.TierFanout, defaultTierFanout, 2, 1 << 10},
		{"BitsPerID", &o.BitsPerID, defaultBitsPerID, 1, maxBitsPerID},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.min || *f.v > f.max {
			return o, meter.Errorf(meter.KindInvalid, "identity index: %s is %d, want %d to %d", f.name, *f.v, f.min, f.max)
		}
	}
	return o, nil
}

// Set is the index of every identity ever accepted.
//
// One goroutine, the fold, calls Lookup, Insert, Freeze, Free, Len and
// needsFreeze. All other methods may be called from any goroutine at any time.
type Set struct {
	fs     vfs.FS
	dir    string
	opt    Options
	memory atomic.Int64  // bytes of tables, filters and page indexes
	nextID atomic.Uint64 // of run files

	// The fold's own: its tables, and the view it probes. They trail what
	// Install and InstallMerge publish until the fold next calls Free,
	// needsFreeze or Freeze; being older they hold the same identities.
	recent  *table
	frozen  []*Frozen
	view    *view
	adopted uint64 // generation that frozen and view stem from

	generation atomic.Uint64 // counts changes of what mu guards below

	mu       sync.Mutex
	sealed   *view           // current
	waiting  []*Frozen       // frozen and not installed, oldest first
	retired  []*table        // installed; the fold may still probe them
	idle     []*table        // nobody probes them any more
	spare    *table          // empty, for the next Freeze; nil = none is ready
	merges   []*Merge        // planned, neither installed nor aborted
	obsolete map[uint64]*run // replaced by a merge, file not removed yet
	pins     map[uint64]int  // by run
	dead     []*run          // unreferenced, to be closed outside the lock
	closed   bool

	touched uint64 // keeps Warm's reads from being optimised away; fold's own
}

// unlock releases mu and frees the runs that lost their last reference.
func (s *Set) unlock() {
	dead := s.dead
	s.dead = nil
	s.mu.Unlock()
	for _, r := range dead {
		r.close()
	}
}

// Open opens the runs that the manifest names, in a directory of the set's
// own, and then deletes every run file that it does not name and every
// temporary one. A run that is missing, short or not the one named, and damage
// to its footer, are KindCorrupt, and nothing is deleted. A damaged page index
// or filter is made anew and reported to Options.OnRepair.
func Open(fs vfs.FS, dir string, manifest []RunInfo, opt Options) (*Set, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Set{fs: fs, dir: dir, opt: opt, obsolete: map[uint64]*run{}, pins: map[uint64]int{}}
	if err := s.makeDir(dir); err != nil {
		return nil, err
	}
	runs, err := s.openRuns(manifest)
	if err == nil {
		err = s.clean(manifest)
	}
	if err != nil {
		for _, r := range runs {
			r.close()
		}
		return nil, err
	}
	s.sealed = newView(runs, 1)
	s.view = s.sealed
	s.view.refs++
	s.recent = newTable(opt.RecentSlots, &s.memory)
	s.recent.clear()
	return s, nil
}

// openRuns opens the runs of the manifest; on an error it returns those that
// it had opened, too.
func (s *Set) openRuns(manifest []RunInfo) ([]*run, error) {
	var runs []*run
	for i, info := range manifest {
		if info.ID == 0 || slices.ContainsFunc(manifest[:i], func(o RunInfo) bool { return o.ID == info.ID }) {
			return runs, meter.Errorf(meter.KindCorrupt, "identity index: the manifest names run %d wrongly", info.ID)
		}
		r, err := s.openRun(info)
		if err != nil {
			return runs, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// clean deletes the run files that the manifest does not name, and finds the
// first number for new ones.
func (s *Set) clean(manifest []RunInfo) error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return storageError(err, "list %s", s.dir)
	}
	next := uint64(1)
	for _, name := range names {
		base, _, _ := strings.Cut(name, ".")
		id, err := strconv.ParseUint(base, 10, 64)
		if err != nil || name != runName(id) && name != tempName(id) {
			continue // not ours
		}
		next = max(next, id+1)
		if name == runName(id) && slices.ContainsFunc(manifest, func(o RunInfo) bool { return o.ID == id }) {
			continue
		}
		if err := s.fs.Remove(s.path(name)); err != nil {
			return storageError(err, "remove %s", name)
		}
	}
	s.nextID.Store(next)
	return s.syncDir(s.dir)
}

// Close frees the tables and runs. The fold must have stopped. Views still
// held stay readable until they are released; a Write or Run under way fails.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, t := range append(append(s.retired, s.recent), s.idle...) {
		t.free()
	}
	if s.spare != nil {
		s.spare.free()
	}
	s.idle, s.spare = nil, nil
	for _, f := range s.waiting {
		f.drop()
	}
	for _, m := range slices.Clone(s.merges) {
		if m.out != nil {
			m.finish()
		}
	}
	s.retired, s.waiting, s.frozen, s.recent = nil, nil, nil, &table{}
	s.view.release()
	s.sealed.release()
	s.sealed = &view{closed: true, refs: 2, version: s.sealed.version}
	s.view = s.sealed
	return nil
}

// Lookup returns what is remembered under h: in the tables, and in the runs
// that were installed after version since of the sealed view. With the
// version of a view that was probed for h, the two together see every
// identity; 0 looks everywhere. Fold goroutine.
func (s *Set) Lookup(h block.Hash, since uint64) (Entry, bool, error) {
	if e, ok := s.recent.lookup(h); ok {
		return e, true, nil
	}
	for _, f := range s.frozen {
		if f.table != nil {
			if e, ok := f.table.lookup(h); ok {
				return e, true, nil
			}
		}
	}
	if s.view.version <= since && !s.view.closed {
		return Entry{}, false, nil
	}
	return s.view.lookup(h, since)
}

// Warm brings what Lookup will read for these hashes into the processor's
// caches, many at a time instead of one after the other: call it with a
// block's hashes before looking them up. It changes nothing. Fold goroutine.
func (s *Set) Warm(hashes []block.Hash, since uint64) {
	if s.view.closed {
		return
	}
	sum := s.recent.touch(hashes)
	for _, f := range s.frozen {
		if f.table != nil {
			sum += f.table.touch(hashes)
		}
	}
	for _, r := range s.view.runs {
		if r.born > since {
			sum += r.filter.touch(hashes)
		}
	}
	s.touched = sum
}

// Insert remembers an identity that Lookup did not find; under a hash that is
// in the recent table already, the first stays. It returns false, and
// remembers nothing, when there is no room: freeze first. Fold goroutine.
func (s *Set) Insert(e Entry) bool { return s.recent.insert(&e) }

// Len returns the number of identities in the recent table. Fold goroutine.
func (s *Set) Len() int { return s.recent.n }

// Free returns how many more identities the recent table takes for certain
// (but for hashes crafted to collide, see Insert). Fold goroutine.
func (s *Set) Free() int {
	s.adopt()
	return s.recent.hard - s.recent.n
}

// needsFreeze says whether the recent table is as full as it should get. It
// then still takes a third as many again. Fold goroutine.
func (s *Set) needsFreeze() bool {
	s.adopt()
	return s.recent.n >= s.recent.soft
}

// adopt makes the fold probe what has been published since it last looked,
// and frees what it alone still used.
func (s *Set) adopt() {
	if s.adopted == s.generation.Load() {
		return
	}
	s.mu.Lock()
	s.view.release()
	s.view = s.sealed
	s.view.refs++
	s.frozen = slices.Clone(s.waiting)
	s.idle = append(s.idle, s.retired...)
	s.retired = nil
	s.adopted = s.generation.Load()
	s.unlock()
}

// Prepare makes an empty table ready for the next Freeze, out of one that has
// been installed if there is one: mapping a new one and touching its memory
// for the first time takes long enough to be felt by whoever waits for the
// fold. Any goroutine; call it after each Freeze.
func (s *Set) Prepare() {
	s.mu.Lock()
	if s.closed || s.spare != nil {
		s.unlock()
		return
	}
	var t *table
	idle := s.idle
	s.idle = nil
	s.unlock()
	if len(idle) > 0 {
		t = idle[0]
		for _, more := range idle[1:] {
			more.free()
		}
	} else {
		t = newTable(s.opt.RecentSlots, &s.memory)
	}
	t.clear()
	s.mu.Lock()
	defer s.unlock()
	if s.closed || s.spare != nil {
		t.free()
		return
	}
	s.spare = t
}

// takeSpare returns the prepared table, or a new one.
func (s *Set) takeSpare() *table {
	s.mu.Lock()
	t := s.spare
	s.spare = nil
	s.unlock()
	if t == nil {
		t = newTable(s.opt.RecentSlots, &s.memory)
	}
	return t
}

// Freeze swaps the recent table for an empty one and returns the old, whose
// identities stay remembered. Several frozen tables may wait for their
// Install; each costs a table's memory and a look. Fold goroutine.
func (s *Set) Freeze() *Frozen {
	f := &Frozen{set: s}
	if s.recent.n > 0 {
		f.table = s.recent
		s.recent = s.takeSpare()
	}
	s.mu.Lock()
	s.waiting = append(s.waiting, f)
	s.generation.Add(1)
	s.mu.Unlock()
	s.adopt()
	return f
}

// publish makes runs the current view. mu is held.
func (s *Set) publish(runs []*run, version uint64) {
	old := s.sealed
	s.sealed = newView(runs, version)
	old.release()
}

// manifest returns the installed runs, in no particular order.
func (s *Set) manifest() []RunInfo {
	s.mu.Lock()
	defer s.unlock()
	infos := make([]RunInfo, len(s.sealed.runs))
	for i, r := range s.sealed.runs {
		infos[i] = r.info
	}
	return infos
}

// ManifestWith returns the manifest as it will be once a written table and a
// finished merge have been installed; either may be nil. It is what the
// checkpoint before these installs must name.
func (s *Set) ManifestWith(f *Frozen, info RunInfo, m *Merge, merged RunInfo) []RunInfo {
	s.mu.Lock()
	defer s.unlock()
	var infos []RunInfo
	for _, r := range s.sealed.runs {
		if m == nil || !m.replaces(r) {
			infos = append(infos, r.info)
		}
	}
	if m != nil {
		infos = append(infos, merged)
	}
	if f != nil && info.ID != 0 {
		infos = append(infos, info)
	}
	return infos
}

// Memory returns the bytes held by tables, filters and page indexes.
func (s *Set) Memory() int64 { return s.memory.Load() }

func (s *Set) path(name string) string { return s.fs.PathJoin(s.dir, name) }

// makeDir makes a directory, durably as far as its parent exists.
func (s *Set) makeDir(dir string) error {
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return storageError(err, "create %s", dir)
	}
	return s.syncDir(s.fs.PathDir(dir))
}

// syncDir makes the directory's entries durable.
func (s *Set) syncDir(dir string) error {
	d, err := s.fs.OpenDir(dir)
	if err != nil {
		return storageError(err, "open %s", dir)
	}
	err = d.Sync()
	if err2 := d.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return storageError(err, "sync %s", dir)
	}
	return nil
}

var errClosed = meter.Errorf(meter.KindUnavailable, "the identity index is closed")

// storageError wraps a failed file operation; an error that has a kind keeps it.
func storageError(err error, format string, args ...any) error {
	var classified *meter.Error
	if errors.As(err, &classified) {
		return err
	}
	kind := meter.KindInternal
	if vfs.IsNoSpaceError(err) {
		kind = meter.KindStorageFull
	}
	return meter.WrapError(kind, err, "identity index: "+format, args...)
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
