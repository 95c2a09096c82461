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
	flagValues = 0x10 // Numeric: sums are there; without it all are zero
	flagDirty  = 0x20 // dirty slots are listed
	knownFlags = kindMask | flagBitmap | flagValues | flagDirty
)

// bitmapFrom is the number of slots from which they are stored as a bitmap,
// because a list would not be shorter.
func bitmapFrom(slotsPerDay int) int { return (slotsPerDay + 7) / 8 }

// ChunkReader iterates over the slots of one chunk in ascending order:
//
//	var r cell.ChunkReader
//	for err := r.Reset(value); r.Next(); { use(r.Slot(), r.State()) }
//	return r.Err()
//
// It allocates nothing per slot and can be reset to the next chunk. Whatever the bytes, it
// ends without a panic; damage is an error of KindCorrupt.
type ChunkReader struct {
	kind   Kind
	flags  byte
	scale  uint8
	perDay int
	n      int // slots left

	slots  decoder // list of gaps
	bitmap []byte
	word   uint64 // bits of the bitmap not yet returned, from slot base on
	base   int
	dirty  decoder
	toMark uint64 // dirty entries left
	gap    uint64 // slots until the next dirty one
	counts decoder
	values decoder

	slot  int
	raw   wide // value in units of 10^-scale
	state State
	set   *Set
	err   error
}

// Reset starts reading a chunk. The reader keeps value until the next Reset.
func (r *ChunkReader) Reset(value []byte) error {
	set := r.set
	*r = ChunkReader{slot: -1, set: set}
	if len(value) < 3 || value[0] != chunkVersion {
		return r.fail("unknown version")
	}
	r.kind, r.flags, r.scale = Kind(value[1]&kindMask), value[1], value[2]
	if r.kind < Numeric || r.kind > Distinct || r.flags&^knownFlags != 0 || r.scale > maxScale {
		return r.fail("unknown kind")
	}
	in := decoder{b: value[3:]}
	perDay, n := in.uvarint(), in.uvarint()
	if !in.ok() || perDay < 1 || perDay > MaxSlotsPerDay || n > perDay {
		return r.fail("bad number of slots")
	}
	r.perDay, r.n = int(perDay), int(n)
	if r.flags&flagBitmap != 0 {
		if !r.takeBitmap(in.bytes((r.perDay + 7) / 8)) {
			return r.fail("bad bitmap of slots")
		}
	} else {
		r.slots = decoder{b: in.text()}
	}
	if r.flags&flagDirty != 0 {
		r.dirty = decoder{b: in.text()}
		r.toMark = r.dirty.uvarint()
		r.gap = r.dirty.uvarint()
		if r.toMark == 0 || r.toMark > n || r.dirty.bad {
			return r.fail("bad list of dirty slots")
		}
	}
	r.counts = decoder{b: in.text()}
	if !in.ok() {
		return r.fail("cut short")
	}
	r.values = in
	r.state.Kind = r.kind
	return nil
}

func (r *ChunkReader) takeBitmap(b []byte) bool {
	n := 0
	for i, c := range b {
		if i == len(b)-1 && r.perDay%8 != 0 && c>>(r.perDay%8) != 0 {
			return false
		}
		n += bits.OnesCount8(c)
	}
	r.bitmap, r.base = b, -64
	return b != nil && n == r.n
}

// Kind returns what the chunk's cells keep.
func (r *ChunkReader) Kind() Kind { return r.kind }

// SlotsPerDay returns the number of slots in a day.
func (r *ChunkReader) SlotsPerDay() int { return r.perDay }

// Slot returns the number in its day of the slot that Next moved to.
func (r *ChunkReader) Slot() int { return r.slot }

// State returns the state of the slot that Next moved to: a view, valid until
// the next call of Next or Reset.
func (r *ChunkReader) State() *State { return &r.state }

// Err returns what ended the iteration early, or nil.
func (r *ChunkReader) Err() error { return r.err }

func (r *ChunkReader) fail(what string) error {
	r.n = 0
	r.err = meter.Errorf(meter.KindCorrupt, "cell chunk: %s", what)
	return r.err
}

// Next moves to the next slot. It returns false at the end and on damage.
func (r *ChunkReader) Next() bool {
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
		r.fail("value out of range")
	}
	return ok
}

// step is Next but leaves the value of the slot in raw, unscaled.
func (r *ChunkReader) step() bool {
	if r.n == 0 {
		if r.err == nil && !r.atEnd() {
			r.fail("bytes left over")
		}
		return false
	}
	r.n--
	if !r.nextSlot() {
		r.fail("bad slot")
		return false
	}
	if r.state.Dirty = 0; r.toMark != 0 && !r.mark() {
		r.fail("bad list of dirty slots")
		return false
	}
	count := r.counts.uvarint()
	if r.kind == Numeric {
		r.state.Count = int64(count>>1) ^ -int64(count&1)
		if r.flags&flagValues != 0 {
			r.raw = r.values.wide()
		}
	} else {
		r.state.Count = int64(count)
		r.takeValue()
	}
	if r.counts.bad || r.values.bad || r.kind != Numeric && r.state.Count < 0 {
		r.fail("cut short")
		return false
	}
	return true
}

func (r *ChunkReader) nextSlot() bool {
	if r.bitmap == nil {
		gap := r.slots.uvarint()
		if r.slots.bad || gap >= uint64(r.perDay-r.slot-1) {
			return false
		}
		r.slot += int(gap) + 1
		return true
	}
	for r.word == 0 {
		if r.base += 64; r.base >= r.perDay {
			return false
		}
		r.word = loadWord(r.bitmap[r.base/8:])
	}
	r.slot = r.base + bits.TrailingZeros64(r.word)
	r.word &= r.word - 1
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

// mark sets the slot's dirty sequence if it is the next one listed.
func (r *ChunkReader) mark() bool {
	if r.gap != 0 {
		r.gap--
		return true
	}
	r.state.Dirty = r.dirty.uvarint()
	if r.toMark--; r.toMark != 0 {
		r.gap = r.dirty.uvarint()
	}
	return !r.dirty.bad && r.state.Dirty != 0
}

// takeValue reads the value of a slot that is not Numeric.
func (r *ChunkReader) takeValue() {
	if r.state.Count == 0 {
		r.raw, r.state.Time, r.state.Source, r.state.ID, r.state.Set = wide{}, 0, nil, nil, nil
		return
	}
	switch r.kind {
	case Min, Max:
		r.raw = r.values.wide()
	case Last:
		if b := r.values.bytes(8); b != nil {
			r.state.Time = int64(binary.LittleEndian.Uint64(b))
		}
		r.state.Source, r.state.ID = r.values.text(), r.values.text()
		r.raw = r.values.wide()
	case Distinct:
		if r.set == nil {
			r.set = new(Set)
		}
		n, err := r.set.take(r.values.b)
		if err != nil {
			r.values.fail()
			return
		}
		r.values.bytes(n)
		r.state.Set = r.set
	}
}

func (r *ChunkReader) atEnd() bool {
	return len(r.slots.b)+len(r.counts.b)+len(r.values.b)+len(r.dirty.b) == 0 && r.toMark == 0
}

// HasDirty tells whether a chunk lists dirty slots, looking at its header only.
func HasDirty(value []byte) bool {
	return len(value) > 1 && value[1]&flagDirty != 0
}
