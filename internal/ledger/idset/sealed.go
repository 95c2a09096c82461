package idset

import (
	"context"
	"sync"

	"odometer/internal/ledger/block"
)

// Found is the answer to one hash of a Probe.
type Found struct {
	OK    bool
	Entry Entry // if OK
}

// view is the runs of one moment. The set, the fold and the requests share it.
type view struct {
	runs    []*run
	version uint64
	closed  bool // of a closed set: nothing can be known
	refs    int  // guarded by Set.mu
}

// newView makes a view with one reference. mu is held, or the set not yet shared.
func newView(runs []*run, version uint64) *view {
	for _, r := range runs {
		r.refs++
	}
	return &view{runs: runs, version: version, refs: 1}
}

// release gives up one reference. Set.mu is held.
func (v *view) release() {
	v.refs--
	if v.refs == 0 {
		for _, r := range v.runs {
			r.release()
		}
	}
}

// release gives up one reference. Set.mu is held.
func (r *run) release() {
	r.refs--
	if r.refs == 0 {
		r.set.dead = append(r.set.dead, r)
	}
}

// Sealed is an immutable view of the installed runs. It pins their files and
// memory until released. Any number of goroutines may use it at once.
type Sealed struct {
	set  *Set
	view *view
}

// Sealed returns the current view. Release it.
func (s *Set) Sealed() *Sealed {
	s.mu.Lock()
	defer s.unlock()
	s.sealed.refs++
	return &Sealed{s, s.sealed}
}

// Release gives the view up, which must not be used any more. Only the first
// call counts.
func (v *Sealed) Release() {
	v.set.mu.Lock()
	defer v.set.unlock()
	if v.view != nil {
		v.view.release()
		v.view = nil
	}
}

// Version counts the installed tables. Lookup takes it to leave out what the
// view has covered.
func (v *Sealed) Version() uint64 { return v.view.version }

// Len returns the number of identities in the view.
func (v *Sealed) Len() uint64 {
	var n uint64
	for _, r := range v.view.runs {
		n += r.info.Entries
	}
	return n
}

var candidateBuffers = sync.Pool{New: func() any { return new([]uint32) }}

// Probe looks up all hashes and fills out, which must be as long. On an
// error, which names the file and page if stored data is damaged, what is not
// found is unknown rather than new.
func (v *Sealed) Probe(hashes []block.Hash, out []Found) error {
	if v.view.closed {
		return errClosed
	}
	out = out[:len(hashes)]
	clear(out)
	buf := candidateBuffers.Get().(*[]uint32)
	defer candidateBuffers.Put(buf)
	if cap(*buf) < len(hashes) {
		*buf = make([]uint32, len(hashes))
	}
	candidates := (*buf)[:len(hashes)]
	for _, r := range v.view.runs {
		n := r.filter.candidates(hashes, candidates)
		for _, i := range candidates[:n] {
			if out[i].OK {
				continue
			}
			e, ok, err := r.find(hashes[i])
			if err != nil {
				return err
			}
			if ok {
				out[i] = Found{OK: true, Entry: e}
			}
		}
	}
	return nil
}

// Walk calls fn with all identities whose hash has its high half in [lo,hi]:
// run after run, each in order of hash, some at a time, which are good during
// the call. It reads and checks every page on the way, and that a look-up
// would come to each identity.
func (v *Sealed) Walk(ctx context.Context, lo, hi uint64, fn func(run int, entries []Entry) error) error {
	if v.view.closed {
		return errClosed
	}
	for n, r := range v.view.runs {
		from, to := r.pagesOf(lo, hi)
		for p := newPageReader(r, from, to); ; {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !p.next() {
				if p.err != nil {
					return p.err
				}
				break
			}
			if err := r.reaches(p.page-1, p.entries); err != nil {
				return err
			}
			if err := fn(n, within(p.entries, lo, hi)); err != nil {
				return err
			}
		}
	}
	return nil
}

// within returns those of a page's entries whose hash has its high half in [lo,hi].
func within(entries []Entry, lo, hi uint64) []Entry {
	for len(entries) > 0 && entries[0].Hash.Hi < lo {
		entries = entries[1:]
	}
	for len(entries) > 0 && entries[len(entries)-1].Hash.Hi > hi {
		entries = entries[:len(entries)-1]
	}
	return entries
}

// lookup looks h up in the runs that became visible after version since.
func (v *view) lookup(h block.Hash, since uint64) (Entry, bool, error) {
	if v.closed {
		return Entry{}, false, errClosed
	}
	for _, r := range v.runs {
		if r.born <= since || r.filter.has(h) == 0 {
			continue
		}
		if e, ok, err := r.find(h); ok || err != nil {
			return e, ok, err
		}
	}
	return Entry{}, false, nil
}
