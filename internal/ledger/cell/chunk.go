package cell

import (
	"encoding/binary"
	"math/bits"

	"odometer/internal/meter"
)

// Version of the chunk format and the flags of its second byte.
const (
	chunkVersion = 1

	kindMask   = 0x07
	flagBitmap = 0x08 // slots are a bitmap, not a list
	flagDirty  = 0x10 // dirty slots are listed
	knownFlags = kindMask | flagBitmap | flagDirty

	// maxRowNumbers is the most that a count and a number take.
	maxRowNumbers = 8 + maxWideBytes
)

// bitmapFrom is the number of slots from which they are stored as a bitmap,
// because a list would not be shorter.
func bitmapFrom(slotsPerDay int) int { return (slotsPerDay + 7) / 8 }

// chunkReader iterates over the slots of one chunk in ascending order:
//
//	var r cell.chunkReader
//	for err := r.Reset(value); r.Next(); { use(r.Slot(), r.State()) }
//	return r.Err()
//
// It allocates nothing per slot and can be reset to the next chunk. Whatever the bytes, it
// ends without a panic; damage is an error of KindCorrupt.
type chunkReader struct {
	kind   Kind
	flags  byte
	scale  uint8
	perDay int
	n      int // slots left

	slots   [(maxSlotsPerDay + 63) / 64]uint64 // not yet returned
	word    int                                // of slots, where the next one is
	dirty   decoder
	marking bool   // dirty slots are left
	gap     uint64 // slots until the next dirty one
	codes   []byte // one for each slot
	done    int    // codes used
	rows    []byte
	at      int // where the next row begins

	slot  int
	raw   wide // value in units of 10^-scale
	state State
	set   *Set
	err   error
}

// Reset starts reading a chunk. The reader keeps value until the next Reset.
func (r *chunkReader) Reset(value []byte) error {
	r.n, r.word, r.done, r.at, r.slot, r.marking, r.err = 0, 0, 0, 0, 0, false, nil
	if len(value) < 3 || value[0] != chunkVersion {
		return r.fail("unknown version")
	}
	r.kind, r.flags, r.scale = Kind(value[1]&kindMask), value[1], value[2]
	if r.kind < Numeric || r.kind > Distinct || r.flags&^knownFlags != 0 || r.scale > maxScale {
		return r.fail("unknown kind")
	}
	in := decoder{b: value[3:]}
	perDay, n := in.uvarint(), in.uvarint()
	if !in.ok() || perDay < 1 || perDay > maxSlotsPerDay || n > perDay {
		return r.fail("bad number of slots")
	}
	r.perDay, r.n = int(perDay), int(n)
	if !r.takeSlots(&in) {
		return r.fail("bad slots")
	}
	if r.flags&flagDirty != 0 {
		r.dirty = decoder{b: in.text()}
		r.gap, r.marking = r.dirty.uvarint(), true
		if r.dirty.bad {
			return r.fail("bad list of dirty slots")
		}
	}
	r.codes = in.bytes(r.n)
	if !in.ok() {
		return r.fail("cut short")
	}
	r.rows = in.b
	r.state.Kind = r.kind
	return nil
}

// takeSlots reads which slots are there, in either form.
func (r *chunkReader) takeSlots(in *decoder) bool {
	clear(r.slots[:(r.perDay+63)/64])
	if r.flags&flagBitmap == 0 {
		next := uint64(0)
		for range r.n {
			gap := in.uvarint()
			if in.bad || gap >= uint64(r.perDay)-next {
				return false
			}
			next += gap
			r.slots[next>>6] |= 1 << (next & 63)
			next++
		}
		return true
	}
	b := in.bytes((r.perDay + 7) / 8)
	if b == nil || r.perDay%8 != 0 && b[len(b)-1]>>(r.perDay%8) != 0 {
		return false
	}
	n := 0
	for i := 0; i < len(b); i += 8 {
		r.slots[i>>3] = loadWord(b[i:])
		n += bits.OnesCount64(r.slots[i>>3])
	}
	return n == r.n
}

// forget lets go of the chunk.
func (r *chunkReader) forget() {
	r.n, r.codes, r.rows, r.dirty.b = 0, nil, nil, nil
	r.state.Source, r.state.ID = nil, nil
}

// Kind returns what the chunk's cells keep.
func (r *chunkReader) Kind() Kind { return r.kind }

// SlotsPerDay returns the number of slots in a day.
func (r *chunkReader) SlotsPerDay() int { return r.perDay }

// Slot returns the number in its day of the slot that Next moved to.
func (r *chunkReader) Slot() int { return r.slot }

// State returns the state of the slot that Next moved to: a view, valid until
// the next call of Next or Reset.
func (r *chunkReader) State() *State { return &r.state }

// Err returns what ended the iteration early, or nil.
func (r *chunkReader) Err() error { return r.err }

func (r *chunkReader) fail(what string) error {
	r.n = 0
	r.err = corrupt(what)
	return r.err
}

// corrupt reports stored cells that cannot be what was written.
func corrupt(what string) error {
	return meter.Errorf(meter.KindCorrupt, "cell chunk: %s", what)
}

// Next moves to the next slot. It returns false at the end and on damage.
func (r *chunkReader) Next() bool {
	if !r.step() {
		return false
	}
	if r.kind == Distinct {
		return true
	}
	w, ok := r.raw.scaleUp(maxScale - r.scale)
	if ok && r.kind == Numeric {
		r.state.Sum = w.sum()
	} else if ok {
		r.state.Value, ok = w.quantity()
	}
	if !ok {
		_ = r.fail("value out of range")
	}
	return ok
}

// step is Next but leaves the value of the slot in raw, unscaled.
func (r *chunkReader) step() bool {
	if r.n == 0 {
		if r.err == nil && !r.atEnd() {
			_ = r.fail("bytes left over")
		}
		return false
	}
	r.n--
	for r.slots[r.word] == 0 {
		r.word++
	}
	left := r.slots[r.word]
	r.slots[r.word] = left & (left - 1)
	r.slot = r.word<<6 + bits.TrailingZeros64(left)
	r.state.Dirty = 0
	if r.marking && !r.mark() {
		_ = r.fail("bad list of dirty slots")
		return false
	}
	if !r.takeNumbers() || r.kind != Numeric && !r.takeRest() {
		_ = r.fail("bad row")
		return false
	}
	return true
}

// takeNumbers reads the count and the number that a row begins with.
func (r *chunkReader) takeNumbers() bool {
	code := r.codes[r.done]
	r.done++
	short, number := code>>4, code&15
	b := r.rows[r.at:]
	n := int(short) + int(wideBytes[number])
	if len(b) < maxRowNumbers {
		if n > len(b) {
			return false
		}
		var padded [maxRowNumbers]byte
		copy(padded[:], b)
		b = padded[:]
	}
	if short > 8 {
		return false
	}
	r.state.Count = loadShort(b, short)
	r.raw = loadWide(b[short:], number)
	r.at += n
	return true
}

// loadWord reads up to eight bytes as a little endian number.
func loadWord(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var w uint64
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// mark sets the slot's dirty sequence: 0 unless it is the next one listed.
func (r *chunkReader) mark() bool {
	if r.gap != 0 {
		r.gap--
		return true
	}
	r.state.Dirty = r.dirty.uvarint()
	if r.marking = len(r.dirty.b) > 0; r.marking {
		r.gap = r.dirty.uvarint()
	}
	return !r.dirty.bad && r.state.Dirty != 0
}

// takeRest checks a row that is not Numeric and reads what follows its numbers.
func (r *chunkReader) takeRest() bool {
	if r.state.Count <= 0 {
		r.state.Time, r.state.Source, r.state.ID, r.state.Set = 0, nil, nil, nil
		return r.state.Count == 0 && r.raw.isZero()
	}
	switch r.kind {
	case Last:
		in := decoder{b: r.rows[r.at:]}
		if b := in.bytes(8); b != nil {
			r.state.Time = int64(binary.LittleEndian.Uint64(b))
		}
		r.state.Source, r.state.ID = in.text(), in.text()
		r.at = len(r.rows) - len(in.b)
		return in.ok()
	case Distinct:
		if r.set == nil {
			r.set = new(Set)
		}
		n, err := r.set.take(r.rows[r.at:])
		r.at += n
		r.state.Set = r.set
		return err == nil && r.raw.isZero()
	}
	return true
}

func (r *chunkReader) atEnd() bool {
	return len(r.rows) == r.at && !r.marking
}
