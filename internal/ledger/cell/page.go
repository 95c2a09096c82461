package cell

import (
	"encoding/binary"
	"math/bits"

	"odometer/internal/meter"
)

// page is one day of one series while it is being put together: what chunks
// and cells are added to and what a chunk is written from. It is reused.
type page struct {
	kind   Kind
	perDay int
	scale  uint8 // nums are in units of 10^-scale
	set    [(MaxSlotsPerDay + 63) / 64]uint64
	nums   []number // Numeric, Min, Max; valid where set
	states []State  // Last, Distinct; valid where set
	dirty  []uint64 // valid where set, if marked
	marked bool

	values []byte // scratch of encode
}

// number is the state of a slot of kind Numeric, Min or Max.
type number struct {
	count int64
	value wide
}

// reset empties the page. Numbers added from now on are in units of 10^-scale.
func (p *page) reset(kind Kind, perDay int, scale uint8) {
	p.kind, p.perDay, p.scale, p.marked = kind, perDay, scale, false
	clear(p.set[:(perDay+63)/64])
	switch {
	case kind == Last || kind == Distinct:
		if len(p.states) < perDay {
			p.states = append(p.states, make([]State, perDay-len(p.states))...)
		}
	case len(p.nums) < perDay:
		p.nums = make([]number, perDay)
	}
}

// touch tells whether a slot is there already and makes it be there.
func (p *page) touch(slot int) (there bool) {
	word, bit := &p.set[slot>>6], uint64(1)<<(slot&63)
	there = *word&bit != 0
	*word |= bit
	if !there && p.marked {
		p.dirty[slot] = 0
	}
	return there
}

// mark makes a slot dirty that is there.
func (p *page) mark(slot int, sequence uint64) {
	if sequence == 0 {
		return
	}
	if !p.marked {
		if len(p.dirty) < p.perDay {
			p.dirty = make([]uint64, p.perDay)
		}
		clear(p.dirty)
		p.marked = true
	}
	p.dirty[slot] = max(p.dirty[slot], sequence)
}

// addNumber adds to a slot of kind Numeric, Min or Max.
func (p *page) addNumber(slot int, count int64, value wide) {
	n := &p.nums[slot]
	if !p.touch(slot) {
		n.count, n.value = count, value
		return
	}
	if p.kind == Numeric {
		n.count += count
		n.value.add(value)
		return
	}
	if count > 0 && (n.count == 0 || (p.kind == Min && value.less(n.value)) || (p.kind == Max && n.value.less(value))) {
		n.value = value
	}
	n.count = addCount(n.count, count)
}

// addState adds a state of any kind, whose values are in units of 10^-12.
// The page's scale must be 12 unless the kind is Last or Distinct.
func (p *page) addState(slot int, s *State) {
	switch p.kind {
	case Numeric:
		p.addNumber(slot, s.Count, wideOf(s.Sum))
	case Min, Max:
		p.addNumber(slot, s.Count, wideOfQuantity(s.Value))
	default:
		if !p.touch(slot) {
			p.states[slot].Reset(p.kind)
		}
		p.states[slot].Merge(s)
	}
	p.mark(slot, s.Dirty)
}

// addChunk adds a stored chunk of the same kind and slots.
func (p *page) addChunk(r *ChunkReader) error {
	if r.kind != p.kind || r.perDay != p.perDay {
		return r.fail("merged with one of another kind or slot width")
	}
	plain := p.kind == Last || p.kind == Distinct
	if !plain && r.scale > p.scale && !p.rescale(r.scale) {
		return r.fail("value out of range")
	}
	p.scale = max(p.scale, r.scale)
	if plain {
		for r.Next() {
			p.addState(r.slot, &r.state)
		}
		return r.err
	}
	up := p.scale - r.scale
	for r.step() {
		w, ok := r.raw.scaleUp(up)
		if !ok {
			return r.fail("value out of range")
		}
		p.addNumber(r.slot, r.state.Count, w)
		p.mark(r.slot, r.state.Dirty)
	}
	return r.err
}

// rescale changes the unit of all numbers to the smaller 10^-scale.
func (p *page) rescale(scale uint8) bool {
	ok := true
	p.each(func(slot int) {
		v, fits := p.nums[slot].value.scaleUp(scale - p.scale)
		p.nums[slot].value = v
		ok = ok && fits
	})
	p.scale = scale
	return ok
}

// each calls fn for each slot that is there, in order.
func (p *page) each(fn func(slot int)) {
	for i, word := range p.set[:(p.perDay+63)/64] {
		for ; word != 0; word &= word - 1 {
			fn(i<<6 + bits.TrailingZeros64(word))
		}
	}
}

// compact drops the slots that say nothing and returns how many are left and
// whether any value but zero is among them.
func (p *page) compact() (n int, values bool) {
	plain := p.kind == Last || p.kind == Distinct
	for i := range p.set[:(p.perDay+63)/64] {
		for word := p.set[i]; word != 0; word &= word - 1 {
			bit := word & -word
			slot := i<<6 + bits.TrailingZeros64(bit)
			var counted, valued bool
			if plain {
				counted = p.states[slot].Count != 0
			} else {
				counted, valued = p.nums[slot].count != 0, !p.nums[slot].value.isZero()
			}
			if !counted && !(p.kind == Numeric && valued) && !(p.marked && p.dirty[slot] != 0) {
				p.set[i] &^= bit
				continue
			}
			n++
			values = values || valued
		}
	}
	return n, values
}

// shrink makes the unit as large as the numbers allow.
func (p *page) shrink() {
	var need uint8
	if p.kind == Last {
		p.each(func(slot int) {
			if s := &p.states[slot]; s.Count > 0 {
				need = max(need, wideOfQuantity(s.Value).decimals())
			}
		})
		p.scale = need
		return
	}
	if p.kind == Distinct {
		p.scale = 0
		return
	}
	p.each(func(slot int) {
		if need < maxScale {
			need = max(need, p.nums[slot].value.decimals())
		}
	})
	if need < maxScale {
		p.each(func(slot int) {
			n := &p.nums[slot]
			n.value = n.value.scaleDown(maxScale - need)
		})
	}
	p.scale = need
}

// encode appends the page's chunk.
func (p *page) encode(dst []byte) []byte {
	n, values := p.compact()
	flags := byte(p.kind)
	if values && p.kind == Numeric {
		flags |= flagValues
	}
	bitmap := n > 0 && n >= bitmapFrom(p.perDay)
	if bitmap {
		flags |= flagBitmap
	}
	marks := 0
	if p.marked {
		p.each(func(slot int) {
			if p.dirty[slot] != 0 {
				marks++
			}
		})
	}
	if marks > 0 {
		flags |= flagDirty
	}
	dst = append(dst, chunkVersion, flags, p.scale)
	dst = binary.AppendUvarint(dst, uint64(p.perDay))
	dst = binary.AppendUvarint(dst, uint64(n))
	if bitmap {
		for i := 0; i < p.perDay; i += 8 {
			dst = append(dst, byte(p.set[i>>6]>>(i&63)))
		}
	} else {
		dst = p.appendText(dst, p.appendSlots(p.values[:0]))
	}
	if marks > 0 {
		dst = p.appendText(dst, p.appendDirty(p.values[:0], marks))
	}
	dst = p.appendText(dst, p.appendCounts(p.values[:0]))
	return p.appendValues(dst, flags&flagValues != 0)
}

// appendText appends a length and that many bytes, and keeps text as scratch.
func (p *page) appendText(dst, text []byte) []byte {
	p.values = text
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

func (p *page) appendSlots(dst []byte) []byte {
	next := 0
	p.each(func(slot int) {
		dst = binary.AppendUvarint(dst, uint64(slot-next))
		next = slot + 1
	})
	return dst
}

func (p *page) appendDirty(dst []byte, marks int) []byte {
	dst = binary.AppendUvarint(dst, uint64(marks))
	gap := uint64(0)
	p.each(func(slot int) {
		if p.dirty[slot] == 0 {
			gap++
			return
		}
		dst = binary.AppendUvarint(dst, gap)
		dst = binary.AppendUvarint(dst, p.dirty[slot])
		gap = 0
	})
	return dst
}

func (p *page) appendCounts(dst []byte) []byte {
	p.each(func(slot int) {
		switch p.kind {
		case Numeric:
			dst = binary.AppendVarint(dst, p.nums[slot].count)
		case Min, Max:
			dst = binary.AppendUvarint(dst, uint64(p.nums[slot].count))
		default:
			dst = binary.AppendUvarint(dst, uint64(p.states[slot].Count))
		}
	})
	return dst
}

func (p *page) appendValues(dst []byte, sums bool) []byte {
	p.each(func(slot int) {
		switch p.kind {
		case Numeric:
			if sums {
				dst = appendWide(dst, p.nums[slot].value)
			}
		case Min, Max:
			if p.nums[slot].count > 0 {
				dst = appendWide(dst, p.nums[slot].value)
			}
		case Last:
			if s := &p.states[slot]; s.Count > 0 {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Time))
				dst = binary.AppendUvarint(dst, uint64(len(s.Source)))
				dst = append(dst, s.Source...)
				dst = binary.AppendUvarint(dst, uint64(len(s.ID)))
				dst = append(dst, s.ID...)
				dst = appendWide(dst, wideOfQuantity(s.Value).scaleDown(maxScale-p.scale))
			}
		case Distinct:
			if s := &p.states[slot]; s.Count > 0 {
				set := s.Set
				if set == nil {
					set = new(Set)
				}
				dst = set.appendTo(dst)
			}
		}
	})
	return dst
}

// errLayout reports chunks of one key that do not belong together.
func errLayout(what string) error {
	return meter.Errorf(meter.KindCorrupt, "cell chunk: %s", what)
}
