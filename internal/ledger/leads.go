package ledger

import (
	"slices"
	"sync"

	"odometer/internal/ledger/cell"
)

// idBits is a set of numbers of texts, which lie close together.
type idBits []uint64

func (b idBits) has(id uint64) bool { return id/64 < uint64(len(b)) && b[id/64]>>(id%64)&1 == 1 }

func (b *idBits) add(id uint64) {
	if id >= mostLeads {
		return
	}
	if at := int(id / 64); at >= len(*b) {
		*b = append(*b, make(idBits, at+1-len(*b))...)
	}
	(*b)[id/64] |= 1 << (id % 64)
}

// mostLeads is past the numbers of texts; greater ones stand for what is no text.
const mostLeads = 1 << 32

// storedLeads remembers of a few meters with which texts their stored groups
// begin, as of one checkpoint: pages find their texts by it where most texts
// are of other attributes.
type storedLeads struct {
	mu   sync.Mutex // taken for a moment only
	kept []leadsOf  // the one used last at the end
}

// leadsOf is what is remembered of a projection of a meter.
type leadsOf struct {
	version    uint32
	projection byte
	base       *base
	ids        idBits // never changed
}

// keptLeads is how many meters are remembered: an eighth of a byte for each text.
const keptLeads = 4

// of returns the texts that stored groups of the scope begin with. They are
// those of all times, and so more than a question needs.
func (k *storedLeads) of(base *base, s *cell.Scope, stop func() error) (idBits, error) {
	mine := func(o leadsOf) bool { return o.version == s.Version && o.projection == s.Projection.ID }
	k.mu.Lock()
	if i := slices.IndexFunc(k.kept, mine); i >= 0 && k.kept[i].base == base {
		have := k.kept[i]
		k.kept = append(slices.Delete(k.kept, i, i+1), have)
		k.mu.Unlock()
		return have.ids, nil
	}
	k.mu.Unlock()
	var ids idBits
	n := 0
	err := s.StoredLeads(base.snap, func(id uint64) error {
		ids.add(id)
		if n++; n%1024 == 0 {
			return stop()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(slices.DeleteFunc(k.kept, mine), leadsOf{s.Version, s.Projection.ID, base, ids})
	if len(k.kept) > keptLeads {
		k.kept = slices.Delete(k.kept, 0, 1)
	}
	return ids, nil
}

// leadFilter is with which texts groups begin, for a page that is being made:
// those stored, and those of the deltas when it began.
type leadFilter struct {
	stored         idBits
	recent         idBits
	active, frozen *delta
	series         int // of the active delta
}

func (f *leadFilter) has(id uint64) bool { return f == nil || f.stored.has(id) || f.recent.has(id) }

// newLeadFilter takes those of the deltas; l.mu is held.
func (l *Ledger) newLeadFilter(s *cell.Scope) *leadFilter {
	f := &leadFilter{active: l.active, frozen: l.frozen}
	if l.frozen != nil {
		s.Leads(l.frozen.table, 0, f.recent.add)
	}
	f.series = s.Leads(l.active.table, 0, f.recent.add)
	return f
}

// mostNewLeads is how many groups may come while a page is made.
const mostNewLeads = 1000

// since returns with which other texts groups begin that have come since; ok
// is false if that cannot be said. l.mu is held.
func (f *leadFilter) since(l *Ledger, s *cell.Scope) (ids []uint64, ok bool) {
	if f.active != l.active || f.frozen != l.frozen {
		return nil, false
	}
	s.Leads(l.active.table, f.series, func(id uint64) {
		if id < mostLeads && !f.has(id) && len(ids) <= mostNewLeads {
			ids = append(ids, id)
		}
	})
	return ids, len(ids) <= mostNewLeads
}
