package idset

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

func TestFilesGoWhenNobodyNeedsThem(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, es := twoRuns(t, fs, 200)
	before := s.manifest()
	v := s.Sealed()
	pin, err := s.Pin(before)
	if err != nil {
		t.Fatal(err)
	}
	mergeAll(t, s)
	after := s.manifest()
	old, all := []string{runName(1), runName(2)}, []string{runName(1), runName(2), runName(3)}
	expect := func(what string, want []string, obsolete int) {
		t.Helper()
		if err := s.RemoveObsolete(); err != nil {
			t.Fatal(err)
		}
		if got := filesIn(t, fs, "ids"); !slices.Equal(got, want) {
			t.Errorf("%s: files %v, want %v", what, got, want)
		}
		if got := len(s.obsoleteRuns()); got != obsolete {
			t.Errorf("%s: %d obsolete, want %d", what, got, obsolete)
		}
	}
	s.Free() // the fold has moved on
	expect("a view and a pin", all, 2)
	pin.Release()
	expect("a view", all, 2)
	if pin, err = s.Pin(before); err != nil {
		t.Fatal(err)
	}
	v.Release()
	v.Release() // does nothing
	expect("a pin", all, 2)
	again, err := s.Pin(before)
	if err != nil {
		t.Fatalf("pinned files can be pinned again: %v", err)
	}
	pin.Release()
	pin.Release() // does nothing
	expect("the other pin", all, 2)
	if !slices.Equal(again.files(), old) {
		t.Errorf("pinned %v, want %v", again.files(), old)
	}
	if err := again.LinkTo("backup"); err != nil {
		t.Fatal(err)
	}
	again.Release()
	expect("nothing", []string{runName(3)}, 0)
	if _, err := s.Pin(before); meter.KindOf(err) != meter.KindNotFound {
		t.Errorf("pinning what is gone: %v", err)
	}
	if p, err := s.Pin(after); err != nil {
		t.Error(err)
	} else {
		p.Release()
	}
	backup, err := Open(fs, "backup", before, Options{RecentSlots: 1000})
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, backup, model(es), nil)
	mustClose(t, backup)
	checkAll(t, s, model(es), nil)
}

// TestPinBetweenCommitAndInstall: a backup may read a checkpoint whose runs
// the set has not installed yet.
func TestPinBetweenCommitAndInstall(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem(), nil, Options{RecentSlots: 1000, MaxRuns: 2})
	defer mustClose(t, s)
	es := entries(fixedtest.Rand(t), 600, randomHash)
	seal(t, s, es[:200])
	seal(t, s, es[200:400])
	m := s.PlanMerge()
	merged, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es[400:] {
		s.Insert(e)
	}
	f := s.Freeze()
	info, err := f.Write(nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest := s.ManifestWith(f, info, m, merged)
	p, err := s.Pin(manifest)
	if err != nil {
		t.Fatal(err)
	}
	s.Install(f, info)
	s.InstallMerge(m, merged)
	mergeAll(t, s)
	s.Free()
	if err := s.RemoveObsolete(); err != nil {
		t.Fatal(err)
	}
	if err := p.LinkTo("backup"); err != nil {
		t.Fatal(err)
	}
	p.Release()
	backup, err := Open(s.fs, "backup", manifest, Options{RecentSlots: 1000})
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, backup, model(es), nil)
	mustClose(t, backup)
}
