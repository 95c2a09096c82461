package ledger

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
)

// orderedText is a text of an organization, and its number.
type orderedText struct {
	text string
	id   uint64
}

// textRange is where texts are listed: from one on, or after it, in their order.
type textRange struct {
	from  string
	after bool // without from itself
}

func (r textRange) has(text string) bool { return text > r.from || text == r.from && !r.after }

// pendingTexts are the texts that no checkpoint had stored at some moment. They
// are added to at their end only, so they may be read without a lock.
type pendingTexts struct {
	deltas []textDelta
	next   uint64 // number of the first text that was not there
}

// pending returns the texts that are not stored; l.mu is held, so that they fit the base.
func (t *texts) pending() (p pendingTexts) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, d := range []*textDelta{t.frozen, t.added} {
		if d != nil {
			p.deltas = append(p.deltas, textDelta{first: d.first, texts: d.texts, arena: d.arena})
		}
	}
	p.next = t.added.first + uint64(len(t.added.texts))
	return p
}

// from calls fn for an organization's texts from a number on.
func (p *pendingTexts) from(prefix string, number uint64, fn func(text []byte, id uint64)) {
	for i := range p.deltas {
		d := &p.deltas[i]
		at := uint64(0)
		if number > d.first {
			at = min(number-d.first, uint64(len(d.texts)))
		}
		for n, t := range d.texts[at:] {
			if key := d.key(t); int(t.prefix) == len(prefix) && string(key[:len(prefix)]) == prefix {
				fn(key[len(prefix):], d.first+at+uint64(n))
			}
		}
	}
}

// firstTexts lists the first texts of an organization in a range, in order of
// texts: the stored ones and the pending, those that only has. complete says
// that these are all.
func firstTexts(stored pebble.Reader, pending *pendingTexts, org string, in textRange, most int, only *leadFilter, stop func() error) (list []orderedText, complete bool, err error) {
	if in.has("") {
		list = append(list, orderedText{"", state.EmptyText})
	}
	if list, err = appendStoredTexts(list, stored, org, in, most, only, stop); err != nil {
		return nil, false, err
	}
	complete = len(list) < most
	bound, bounded := "", false
	cut := func() {
		slices.SortFunc(list, compareTexts)
		if len(list) > most {
			list, complete = list[:most], false
		}
		if len(list) == most {
			bound, bounded = list[most-1].text, true
		}
	}
	cut()
	pending.from(string(state.AppendOrg(nil, org)), 0, func(text []byte, id uint64) {
		if !only.has(id) || !in.has(string(text)) {
			return
		}
		if bounded && string(text) > bound {
			complete = false
			return
		}
		if list = append(list, orderedText{string(text), id}); len(list) >= 2*most {
			cut()
		}
	})
	cut()
	return list, complete, nil
}

func compareTexts(a, b orderedText) int { return cmp.Compare(a.text, b.text) }

// appendStoredTexts reads the index of an organization's texts.
func appendStoredTexts(list []orderedText, r pebble.Reader, org string, in textRange, most int, only *leadFilter, stop func() error) ([]orderedText, error) {
	prefix := state.OrgKey(state.KeyText, org, "")
	lower := append(slices.Clip(prefix), in.from...)
	if in.after {
		lower = append(lower, 0)
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: state.UpperBound(prefix)})
	if err != nil {
		return nil, disk.Unreadable(err, "the texts cannot be read")
	}
	n := 0
	for ok := it.First(); ok && len(list) < most; ok = it.Next() {
		if n++; n%1024 == 0 {
			if err := stop(); err != nil {
				return nil, errors.Join(err, it.Close())
			}
		}
		if v := it.Value(); len(v) == 8 && only.has(binary.BigEndian.Uint64(v)) {
			list = append(list, orderedText{string(it.Key()[len(prefix):]), binary.BigEndian.Uint64(v)})
		}
	}
	if err := it.Close(); err != nil {
		return nil, disk.Unreadable(err, "the texts cannot be read")
	}
	return list, nil
}
