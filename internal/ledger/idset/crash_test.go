package idset

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// life is a short life of a set: two tables sealed, a merge, its files
// removed. commit stands for the checkpoint that names what is given.
func life(s *Set, es []Entry, commit func(manifest []RunInfo, applied int)) error {
	half := len(es) / 2
	for i, part := range [][]Entry{es[:half], es[half:]} {
		for _, e := range part {
			if !s.Insert(e) {
				return fmt.Errorf("the table is full")
			}
		}
		f := s.Freeze()
		info, err := f.Write(nil)
		if err != nil {
			return err
		}
		commit(s.ManifestWith(f, info, nil, RunInfo{}), half+i*(len(es)-half))
		s.Install(f, info)
	}
	m := s.PlanMerge()
	if m == nil {
		return fmt.Errorf("nothing to merge")
	}
	info, err := m.Run(noContext{})
	if err != nil {
		return err
	}
	commit(s.ManifestWith(nil, RunInfo{}, m, info), len(es))
	s.InstallMerge(m, info)
	s.Free() // the fold lets go of the old runs
	return s.RemoveObsolete()
}

// TestCrashAtEveryStep takes a copy of what the disk may hold before every
// single file operation, and opens it with the checkpoint of that moment.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	opt := Options{RecentSlots: 2000, MaxRuns: 2}
	es := entries(rng, 2400, randomHash)
	type crash struct {
		fs       *vfs.MemFS
		op       errorfs.Op
		manifest []RunInfo
		applied  int
	}
	var crashes []crash
	var now crash
	mem := vfs.NewCrashableMem()
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			for _, percent := range []int{0, 30, 70, 100} {
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), op, now.manifest, now.applied})
			}
		}
		return nil
	}))
	s := mustOpen(t, fs, nil, opt)
	if err := life(s, es, func(manifest []RunInfo, applied int) { now.manifest, now.applied = manifest, applied }); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if len(crashes) < 4*20 || now.applied != len(es) || len(now.manifest) != 1 {
		t.Fatalf("%d crashes; ends with %d runs of %d", len(crashes), len(now.manifest), now.applied)
	}
	for i, c := range crashes {
		s, err := Open(c.fs, "ids", c.manifest, opt)
		if err != nil {
			t.Fatalf("crash %d before %v of %s: %v", i, c.op.Kind, c.op.Path, err)
		}
		if names := filesIn(t, c.fs, "ids"); len(names) != len(c.manifest) {
			t.Fatalf("crash %d: files %v for %v", i, names, c.manifest)
		}
		checkAll(t, s, model(es[:c.applied]), nil)
		if i%16 == 0 { // and it goes on from there
			for _, e := range es[c.applied:] {
				if s.Free() == 0 {
					seal(t, s, nil)
				}
				s.Insert(e)
			}
			checkAll(t, s, model(es), nil)
		}
		mustClose(t, s)
	}
}

// TestEveryFaultIsSurvived fails every file operation in turn. The step that
// meets it reports it, nothing is forgotten, and the same step succeeds later.
func TestEveryFaultIsSurvived(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	es := entries(rng, 600, randomHash)
	for k := 0; ; k++ {
		n := 0
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			n++
			if n == k+1 {
				return syscall.ENOSPC
			}
			return nil
		}))
		(&survivor{t: t, fs: fs, k: k}).live(es)
		if n <= k {
			if k < 60 {
				t.Fatalf("only %d operations", k)
			}
			return
		}
	}
}

// survivor leads a life in which one operation fails.
type survivor struct {
	t   *testing.T
	fs  vfs.FS
	k   int // which operation
	met bool
	set *Set
}

// twice takes a step, which may fail once.
func (v *survivor) twice(what string, step func() error) {
	v.t.Helper()
	err := step()
	if err == nil {
		return
	}
	if v.met || meter.KindOf(err) != meter.KindStorageFull {
		v.t.Fatalf("fault %d: %s: %v", v.k, what, err)
	}
	v.met = true
	if err := step(); err != nil {
		v.t.Fatalf("fault %d: %s again: %v", v.k, what, err)
	}
}

func (v *survivor) open(manifest []RunInfo) {
	v.t.Helper()
	v.twice("open", func() (err error) {
		v.set, err = Open(v.fs, "ids", manifest, Options{RecentSlots: 2000, MaxRuns: 2})
		return err
	})
}

// lookUp finds all of the entries.
func (v *survivor) lookUp(es []Entry) error {
	for _, e := range es {
		got, ok, err := v.set.Lookup(e.Hash, 0)
		if err != nil {
			return err
		}
		if !ok || got != e {
			v.t.Fatalf("fault %d: %v is lost", v.k, e)
		}
	}
	return nil
}

// probe finds all of the entries through a view.
func (v *survivor) probe(es []Entry) error {
	view := v.set.Sealed()
	defer view.Release()
	found := make([]Found, len(es))
	if err := view.Probe(hashesOf(es), found); err != nil {
		return err
	}
	for i, e := range es {
		if found[i] != (Found{true, e}) {
			v.t.Fatalf("fault %d: %v is lost", v.k, e)
		}
	}
	return nil
}

func (v *survivor) seal(es, sofar []Entry) {
	v.t.Helper()
	for _, e := range es {
		v.set.Insert(e)
	}
	f := v.set.Freeze()
	var info RunInfo
	v.twice("write", func() (err error) { info, err = f.Write(nil); return err })
	v.twice("look up before the install", func() error { return v.lookUp(sofar) })
	v.set.Install(f, info)
	v.set.Free()
	v.twice("look up after the install", func() error { return v.lookUp(sofar) })
}

func (v *survivor) live(es []Entry) {
	v.t.Helper()
	some := sample(es)
	half := len(es) / 2
	v.open(nil)
	v.seal(es[:half], sample(es[:half]))
	v.seal(es[half:], some)
	var m *Merge
	var info RunInfo
	v.twice("merge", func() (err error) {
		if m = v.set.PlanMerge(); m == nil {
			return fmt.Errorf("nothing to merge")
		}
		info, err = m.Run(v.t.Context())
		return err
	})
	v.set.InstallMerge(m, info)
	v.set.Free()
	v.twice("remove", v.set.RemoveObsolete)
	manifest := v.set.manifest()
	p, err := v.set.Pin(manifest)
	if err != nil {
		v.t.Fatal(err)
	}
	v.twice("link", func() error { return p.LinkTo(fmt.Sprintf("backup-%v", v.met)) })
	p.Release()
	mustClose(v.t, v.set)
	v.open(manifest)
	v.twice("probe", func() error { return v.probe(some) })
	mustClose(v.t, v.set)
}

// sample returns one entry in forty.
func sample(es []Entry) []Entry {
	var out []Entry
	for i := 0; i < len(es); i += 40 {
		out = append(out, es[i])
	}
	return out
}

func TestNothingIsWrittenOverAFaultyRun(t *testing.T) {
	t.Parallel()
	rng := fixedtest.Rand(t)
	mem := vfs.NewMem()
	fail := false
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpRemove) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	s := mustOpen(t, fs, nil, Options{RecentSlots: 100})
	defer func() { mustClose(t, s) }()
	es := entries(rng, 50, randomHash)
	for _, e := range es {
		s.Insert(e)
	}
	f := s.Freeze()
	fail = true
	if _, err := f.Write(nil); err == nil {
		t.Fatal("a failed sync was not reported")
	}
	fail = false
	info, err := f.Write(nil)
	if err != nil || info.ID != 2 {
		t.Fatalf("%v %v: want a file of another name", info, err)
	}
	s.Install(f, info)
	manifest := s.manifest()
	if names := filesIn(t, mem, "ids"); !slices.Equal(names, []string{tempName(1), runName(2)}) {
		t.Fatal(names)
	}
	mustClose(t, s)
	s = mustOpen(t, fs, manifest, Options{RecentSlots: 100})
	checkAll(t, s, model(es), nil)
	if names := filesIn(t, mem, "ids"); !slices.Equal(names, []string{runName(2)}) {
		t.Fatal(names)
	}
}
