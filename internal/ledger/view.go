package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// view is one reader's consistent picture of headers, verdicts and voids: the
// stored base, the frozen delta and the part of the active delta that existed
// when the view was taken.
type view struct {
	l       *Ledger
	base    *base
	applied uint64
	recent  [2][]headerNote // of the frozen and the active delta, in order of sequence
}

// headerNote is a folded block that no checkpoint has stored yet.
type headerNote struct {
	org    string
	header *block.Header
}

func (l *Ledger) view() *view {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.viewLocked()
}

func (l *Ledger) viewLocked() *view {
	v := &view{l: l, base: l.base.acquire(), applied: l.active.applied}
	// The lists only grow, so what they hold now may be read without the lock.
	if l.frozen != nil {
		v.recent[0] = l.frozen.headers
	}
	v.recent[1] = l.active.headers
	return v
}

func (v *view) release() {
	if err := v.base.release(); err != nil {
		v.l.logger.Error("release a snapshot", "error", err)
	}
}

// headers calls fn for the organization's blocks in [from, to] in order until fn says stop.
func (v *view) headers(org string, from, to uint64, fn func(h *block.Header) (more bool, err error)) error {
	lower := state.HeaderKey(org, from)
	it, err := v.base.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: state.UpperBound(state.OrgKey(state.KeyHeader, org, ""))})
	if err != nil {
		return fmt.Errorf("read block headers: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		h, err := block.DecodeHeader(it.Value())
		if err == nil && h.Sequence > to {
			return it.Close()
		}
		more := true
		if err == nil {
			more, err = fn(&h)
		}
		if err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return disk.Unreadable(err, "block headers cannot be read")
	}
	for _, list := range v.recent {
		for _, n := range list {
			if n.org != org || n.header.Sequence < from || n.header.Sequence > to {
				continue
			}
			if more, err := fn(n.header); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// storedVerdicts returns the verdict of every row of a folded block.
func (l *Ledger) storedVerdicts(seq uint64, n int) ([]meter.Verdict, error) {
	packed, err := l.packedVerdicts(seq)
	if err != nil {
		return nil, err
	}
	if packed != nil && len(packed) != (n+3)/4 {
		return nil, meter.Errorf(meter.KindCorrupt, "the verdicts of block %d are damaged", seq)
	}
	out := make([]meter.Verdict, n)
	for i := range out {
		out[i] = state.VerdictOf(packed, i)
	}
	return out, nil
}

func (l *Ledger) packedVerdicts(seq uint64) ([]byte, error) {
	l.mu.RLock()
	for _, d := range []*delta{l.active, l.frozen} {
		if d != nil {
			if v, ok := d.verdicts[seq]; ok {
				l.mu.RUnlock()
				return v, nil
			}
		}
	}
	l.mu.RUnlock()
	return l.stateValue(state.SeqKey(state.KeyVerdicts, seq))
}

// stateValue returns a copy of a state value, nil if there is none.
func (l *Ledger) stateValue(key []byte) ([]byte, error) {
	v, closer, err := l.state.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, disk.Unreadable(err, "the state cannot be read")
	}
	out := append([]byte{}, v...)
	return out, closer.Close()
}

// stateHas says whether the stored state has a key.
func (l *Ledger) stateHas(key []byte) (bool, error) {
	_, closer, err := l.state.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, disk.Unreadable(err, "the state cannot be read")
	}
	return true, closer.Close()
}

// voidRecord is what the state keeps of one voided event, told.
func voidRecord(n *state.VoidNote) *meter.VoidRecord {
	return &meter.VoidRecord{Sequence: n.Sequence, At: time.Unix(0, n.At).UTC(), Actor: n.Actor, Reason: n.Reason}
}

// voidsOf returns the voided rows of a block.
func (l *Ledger) voidsOf(seq uint64) (map[uint32]state.VoidNote, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.voidsLocked(seq)
}

func (l *Ledger) voidsLocked(seq uint64) (map[uint32]state.VoidNote, error) {
	var out map[uint32]state.VoidNote
	add := func(ord uint32, n state.VoidNote) {
		if out == nil {
			out = map[uint32]state.VoidNote{}
		}
		out[ord] = n
	}
	err := state.Scan(l.state, state.SeqKey(state.KeyVoided, seq), func(key, value []byte) error {
		var n state.VoidNote
		if err := json.Unmarshal(value, &n); err != nil || len(key) != 13 {
			return meter.WrapError(meter.KindCorrupt, err, "a void record of block %d is damaged", seq)
		}
		add(binary.BigEndian.Uint32(key[9:]), n)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range []*delta{l.frozen, l.active} {
		if d != nil {
			for ord, n := range d.voids[seq] {
				add(ord, n)
			}
		}
	}
	return out, nil
}
