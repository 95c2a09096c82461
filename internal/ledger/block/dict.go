package block

import (
	"bytes"
	"hash/maphash"
)

// dictSeed makes the dictionaries' hash unpredictable, so that no client can
// make their probes long. It never reaches the disk.
var dictSeed = maphash.MakeSeed()

// interner gives texts their codes in order of first appearance: open
// addressing over the Strings that hold the texts. It is emptied in constant
// time, because pooled builders serve requests of one event too.
type interner struct {
	values Strings
	slots  []uint64 // epoch<<48 | 16 bits of the hash<<32 | code
	epoch  uint64   // 1..maxEpoch; a slot of another epoch is empty
	last   uint32   // code returned last
}

const (
	minSlots = 16
	maxEpoch = 1<<16 - 1
)

// reset forgets all texts.
func (t *interner) reset() {
	t.values.truncate(0)
	t.last = 0
	if t.epoch++; t.epoch > maxEpoch {
		clear(t.slots)
		t.epoch = 1
	}
}

// intern returns the text's code, giving it the next one if it is new.
func (t *interner) intern(text []byte) (code uint32, added bool) {
	if n := uint32(t.values.Len()); t.last < n {
		// Constant and slowly changing columns end here.
		if bytes.Equal(t.values.At(int(t.last)), text) {
			return t.last, false
		}
	}
	if 2*t.values.Len() >= len(t.slots) {
		t.grow()
	}
	h := maphash.Bytes(dictSeed, text)
	mask := uint64(len(t.slots) - 1)
	tag := t.epoch<<16 | h>>48
	for i := h & mask; ; i = (i + 1) & mask {
		slot := t.slots[i]
		if slot>>48 != t.epoch {
			code = uint32(t.values.Len())
			t.values.Append(text)
			t.slots[i] = tag<<32 | uint64(code)
			t.last = code
			return code, true
		}
		if slot>>32 == tag && bytes.Equal(t.values.At(int(uint32(slot))), text) {
			t.last = uint32(slot)
			return t.last, false
		}
	}
}

// dropLast forgets the text that was added last. No other text was placed
// after it, so no probe passes over its slot.
func (t *interner) dropLast() {
	n := t.values.Len() - 1
	h := maphash.Bytes(dictSeed, t.values.At(n))
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if slot := t.slots[i]; slot>>48 == t.epoch && uint32(slot) == uint32(n) {
			t.slots[i] = 0
			break
		}
	}
	t.values.truncate(n)
	t.last = 0
}

// grow doubles the table. Texts are placed again in order of their codes,
// which keeps dropLast right.
func (t *interner) grow() {
	n := max(minSlots, 2*len(t.slots))
	t.slots = make([]uint64, n)
	t.epoch = 1
	mask := uint64(n - 1)
	for code := range t.values.Len() {
		h := maphash.Bytes(dictSeed, t.values.At(code))
		i := h & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = (t.epoch<<16|h>>48)<<32 | uint64(code)
	}
}

// memory returns the bytes held.
func (t *interner) memory() int {
	return cap(t.values.buf) + 4*cap(t.values.ends) + 8*cap(t.slots)
}
