package ledger

import (
	"bytes"
	"encoding/json"
	"slices"

	"odometer/internal/ledger/state"
)

// memory returns what a frozen delta takes, beside its identities.
func (d *delta) memory() int64 { return d.table.Bytes() + d.side + d.texts.memory() }

// writeState writes all of the delta, with the checkpoint record, in order of keys.
func (l *Ledger) writeState(d *delta, record []byte) (*stateWriter, error) {
	marks, installs, err := l.recomputeDirty(d)
	if err != nil {
		return nil, err
	}
	var removed [][2][]byte
	for _, m := range d.deleted {
		removed = append(removed, rangesOf(m)...)
	}
	w := l.newStateWriter(removed, d.memory() >= l.limits.TableBytes)
	if err := l.fillState(w, d, record, marks, installs); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (l *Ledger) fillState(w *stateWriter, d *delta, record []byte, marks *changes, installs map[string][]*install) error {
	if err := w.set([]byte{state.KeyCheckpoint}, record); err != nil {
		return err
	}
	if err := d.texts.writeByNumber(w); err != nil {
		return err
	}
	for _, m := range d.deleted {
		d.counts.remove(state.VersionKey(state.KeyGroupCount, m.record.Version))
	}
	if err := d.counts.write(w); err != nil {
		return err
	}
	if err := d.writeVoids(w); err != nil {
		return err
	}
	if err := l.flushCells(w, d, installs); err != nil {
		return err
	}
	l.ckpt.progress.wrote(w.cells, d.table.Bytes())
	if err := d.texts.writeByText(w); err != nil {
		return err
	}
	return d.writeRest(w, marks)
}

// changes are keys to set, or to remove where the value is nil; of one key the last change counts.
type changes struct {
	list []keyValue
}

func (c *changes) set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	c.list = append(c.list, keyValue{key, value})
}

func (c *changes) remove(key []byte) { c.list = append(c.list, keyValue{key, nil}) }

// write writes the changes in order of keys.
func (c *changes) write(w *stateWriter) error {
	slices.SortStableFunc(c.list, func(a, b keyValue) int { return bytes.Compare(a.key, b.key) })
	for i, kv := range c.list {
		if i+1 < len(c.list) && bytes.Equal(kv.key, c.list[i+1].key) {
			continue
		}
		err := error(nil)
		if kv.value == nil {
			err = w.remove(kv.key)
		} else {
			err = w.set(kv.key, kv.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeVoids stores the voids of events.
func (d *delta) writeVoids(w *stateWriter) error {
	var c changes
	for seq, rows := range d.voids {
		for ord, n := range rows {
			v, err := json.Marshal(n)
			if err != nil {
				return err
			}
			c.set(state.VoidedKey(seq, ord), v)
		}
	}
	return c.write(w)
}

// writeRest stores what has keys behind those of texts: headers, verdicts,
// conflicts, records and the marks of dirty slots.
func (d *delta) writeRest(w *stateWriter, marks *changes) error {
	c := *marks
	// First: a meter made again under the key of a deleted one has its record below.
	for _, m := range d.deleted {
		c.remove(state.OrgKey(state.KeyMeter, m.Org, m.record.Meter.Key))
	}
	for _, kv := range d.records {
		c.set(kv.key, kv.value)
	}
	for _, kv := range d.notes {
		c.set(kv.key, kv.value)
	}
	for _, n := range d.headers {
		c.set(state.HeaderKey(n.org, n.header.Sequence), n.header.Append(nil))
	}
	for seq, packed := range d.verdicts {
		c.set(state.SeqKey(state.KeyVerdicts, seq), packed)
	}
	return c.write(w)
}

// rangesOf returns the ranges of what a deleted meter's version has beside its record: groups
// and dirty slots, and cells unless other meters have theirs in the same values.
func rangesOf(m *meterState) [][2][]byte {
	prefixes := [][]byte{state.VersionKey(state.KeyGroup, m.record.Version), state.VersionKey(state.KeyDirty, m.record.Version)}
	if !m.shared {
		prefixes = append(prefixes, cellPrefix(m))
	}
	var ranges [][2][]byte
	for _, prefix := range prefixes {
		ranges = append(ranges, [2][]byte{prefix, state.UpperBound(prefix)})
	}
	return ranges
}
