package idset

import "slices"

// Frozen is a recent table on its way to becoming a run.
type Frozen struct {
	set   *Set
	table *table // nil when it was empty
	below uint64 // Write leaves out identities of this block and later ones; 0 = none

	// Guarded by Set.mu.
	info    RunInfo // once written
	run     *run    // from then until installed
	writing bool
}

// Len returns the number of identities. Not after Install.
func (f *Frozen) Len() int {
	if f.table == nil {
		return 0
	}
	return f.table.n
}

// Before makes Write leave out the identities of a block that is not to be
// part of the run, and of later ones. The caller inserts them again: they stay
// remembered by the recent table. Call it before Write.
func (f *Frozen) Before(seq uint64) { f.below = seq }

// written returns the identities to be written.
func (f *Frozen) written() uint64 {
	if f.below == 0 {
		return uint64(f.table.n)
	}
	n := uint64(0)
	for i := range f.table.slots {
		if s := f.table.slots[i].seq; s != 0 && s-1 < f.below {
			n++
		}
	}
	return n
}

// ascend calls fn with the identities to be written, in order of hash.
func (f *Frozen) ascend(fn func(*Entry) error) error {
	if f.below == 0 {
		return f.table.ascend(fn)
	}
	return f.table.ascend(func(e *Entry) error {
		if e.Seq >= f.below {
			return nil
		}
		return fn(e)
	})
}

// Write writes the table as a run: complete, synced and under its name when
// it returns. It may be called again after an error, and returns the same run
// after a success. Of an empty table it writes nothing and returns a zero
// RunInfo. One call at a time; any goroutine. It tells now and then how many
// identities it has written since it last told; nil = nobody listens.
func (f *Frozen) Write(tell func(n int)) (RunInfo, error) {
	s := f.set
	s.mu.Lock()
	info, closed := f.info, s.closed
	var n uint64
	if f.table != nil && info.ID == 0 && !closed {
		n = f.written()
	}
	f.writing = n > 0
	writing := f.writing
	s.unlock()
	if closed {
		return RunInfo{}, errClosed
	}
	if !writing {
		return info, nil
	}
	r, err := s.createRun(n, 0, func(w *runWriter) error { return f.ascend(telling(w.add, tell)) })
	s.mu.Lock()
	defer s.unlock()
	f.writing = false
	if err == nil {
		f.run, f.info = r, r.info
	}
	if s.closed {
		f.drop()
		return RunInfo{}, errClosed
	}
	return f.info, err
}

// toldTogether is how many identities Write tells of at once.
const toldTogether = 4096

// telling adds to add that every so many calls are told.
func telling(add func(*Entry) error, tell func(n int)) func(*Entry) error {
	if tell == nil {
		return add
	}
	n := 0
	return func(e *Entry) error {
		if n++; n%toldTogether == 0 {
			tell(toldTogether)
		}
		return add(e)
	}
}

// drop frees what a closed set leaves behind, unless Write still uses it.
// Set.mu is held.
func (f *Frozen) drop() {
	if f.writing {
		return
	}
	if f.table != nil {
		f.table.free()
	}
	if f.run != nil {
		f.set.dead = append(f.set.dead, f.run)
		f.run = nil
	}
}

// Install puts the run that Write returned in the table's place: new views
// see it. Call it once a checkpoint that names the run has committed.
func (s *Set) Install(f *Frozen, info RunInfo) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return
	}
	at := slices.Index(s.waiting, f)
	if at < 0 || f.info != info || info.ID != 0 && f.run == nil || info.ID == 0 && f.table != nil && f.written() > 0 {
		panic("idset: Install of a table that was not written, or was installed before")
	}
	s.waiting = slices.Delete(slices.Clone(s.waiting), at, at+1)
	s.generation.Add(1)
	if f.table != nil {
		s.retired = append(s.retired, f.table)
	}
	if f.run == nil {
		return // there was nothing to write
	}
	version := s.sealed.version + 1
	f.run.born = version
	s.publish(append(slices.Clone(s.sealed.runs), f.run), version)
	f.run = nil
}
