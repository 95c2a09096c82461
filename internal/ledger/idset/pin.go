package idset

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"odometer/internal/meter"
)

// obsoleteRuns returns the runs that merges have replaced and whose files are
// still there.
func (s *Set) obsoleteRuns() []RunInfo {
	s.mu.Lock()
	defer s.unlock()
	infos := make([]RunInfo, 0, len(s.obsolete))
	for _, r := range s.obsolete {
		infos = append(infos, r.info)
	}
	slices.SortFunc(infos, func(a, b RunInfo) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// RemoveObsolete deletes the files of replaced runs that no view, merge or
// pin uses; the rest wait for the next call. As InstallMerge follows the
// checkpoint that ceased to name them, no checkpoint in force needs them.
func (s *Set) RemoveObsolete() error {
	s.mu.Lock()
	var remove []*run
	for id, r := range s.obsolete {
		if r.refs == 0 && s.pins[id] == 0 {
			remove = append(remove, r)
			delete(s.obsolete, id)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, r := range remove {
		if err := s.fs.Remove(s.path(r.name())); err != nil && !isNotExist(err) {
			errs = append(errs, storageError(err, "remove %s", r.name()))
			s.mu.Lock()
			s.obsolete[r.info.ID] = r
			s.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// Pin keeps the files of a manifest from being removed.
type Pin struct {
	set  *Set
	runs []RunInfo
}

// Pin pins the files of a manifest: one of the last checkpoint, or of any
// whose files are still there. KindNotFound if one is gone.
func (s *Set) Pin(manifest []RunInfo) (*Pin, error) {
	s.mu.Lock()
	defer s.unlock()
	there := slices.Clone(s.sealed.runs)
	for _, r := range s.obsolete {
		there = append(there, r)
	}
	for _, f := range s.waiting {
		there = append(there, f.run) // may be named and not yet installed
	}
	for _, m := range s.merges {
		there = append(there, m.out)
	}
	for _, info := range manifest {
		if !slices.ContainsFunc(there, func(r *run) bool { return r != nil && r.info == info }) {
			return nil, meter.Errorf(meter.KindNotFound, "identity run %s is not there any more", runName(info.ID))
		}
	}
	for _, info := range manifest {
		s.pins[info.ID]++
	}
	return &Pin{set: s, runs: slices.Clone(manifest)}, nil
}

// files returns the names of the pinned files within the set's directory.
func (p *Pin) files() []string {
	names := make([]string, len(p.runs))
	for i, info := range p.runs {
		names[i] = runName(info.ID)
	}
	return names
}

// LinkTo makes dir, which must be on the set's file system, and puts the
// pinned files into it: as hard links, or as copies where links cannot be
// made. All is durable when it returns.
func (p *Pin) LinkTo(dir string) error {
	s := p.set
	if err := s.makeDir(dir); err != nil {
		return err
	}
	for _, name := range p.files() {
		if err := vfs.LinkOrCopy(s.fs, s.path(name), s.fs.PathJoin(dir, name)); err != nil {
			return storageError(err, "link %s to %s", name, dir)
		}
	}
	return s.syncDir(dir)
}

// Release gives the pin up, once.
func (p *Pin) Release() {
	p.set.mu.Lock()
	defer p.set.unlock()
	for _, info := range p.runs {
		if p.set.pins[info.ID]--; p.set.pins[info.ID] == 0 {
			delete(p.set.pins, info.ID)
		}
	}
	p.runs = nil
}
