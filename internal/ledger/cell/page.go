package cell

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// page is one day of one series while it is being put together: what chunks
// and cells are added to and what a chunk is written from. It is reused.
type page struct {
	kind   Kind
	perDay int
	scale  uint8 // nums are in units of 10^-scale
	set    [(maxSlotsPerDay + 63) / 64]uint64
	nums   []number // Numeric, Min, Max; valid where set
	states []State  // Last, Distinct; valid where set
	dirty  []uint64 // valid if marked; 0 where not set
	marked bool
	limit  int // values of a set, 0 = any number

	list    []uint16 // slots that are set, as of the last call of slots
	scratch []byte
}

// number is the state of a slot of kind Numeric, Min or Max.
type number struct {
	count int64
	value wide
}

// plain tells whether a kind is kept as a number.
func (k Kind) plain() bool { return k <= Max }

// reset empties the page. Numbers added from now on are in units of 10^-scale.
func (p *page) reset(kind Kind, perDay int, scale uint8) {
	p.kind, p.perDay, p.scale, p.marked = kind, perDay, scale, false
	clear(p.set[:(perDay+63)/64])
	switch {
	case !kind.plain():
		if len(p.states) < perDay {
			p.states = append(p.states, make([]State, perDay-len(p.states))...)
		}
	case len(p.nums) < perDay:
		p.nums = make([]number, perDay)
	}
}

// begun tells whether anything was put into the page.
func (p *page) begun() bool {
	for _, word := range p.set[:(p.perDay+63)/64] {
		if word != 0 {
			return true
		}
	}
	return false
}

// touch tells whether a slot is there already and makes it be there.
func (p *page) touch(slot int) (there bool) {
	word, bit := &p.set[uint(slot)>>6], uint64(1)<<(slot&63)
	there = *word&bit != 0
	*word |= bit
	return there
}

// mark makes a slot that is there dirty; a sequence of 0 does nothing.
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

// addState adds a state of any kind, whose values are in units of 10^-12. The
// scale of a page of numbers must be 12.
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
	if p.kind == Distinct {
		p.bound(slot)
	}
}

// bound gives up a set that has outgrown the limit, or that was given up in
// another part: whatever the order of the parts, the same slots end up without a set.
func (p *page) bound(slot int) {
	s := &p.states[slot]
	if p.limit > 0 && s.Set != nil && s.Set.Len() > p.limit {
		p.mark(slot, Permanent)
	}
	if p.marked && p.dirty[slot] == Permanent {
		s.Set = nil
	}
}

// addPage adds all of a page of the same kind, slots and scale.
func (p *page) addPage(o *page) {
	for _, slot := range o.slots() {
		if p.kind.plain() {
			n := &o.nums[slot]
			p.addNumber(int(slot), n.count, n.value)
		} else {
			p.addState(int(slot), &o.states[slot])
		}
		if o.marked {
			p.mark(int(slot), o.dirty[slot])
		}
		if p.kind == Distinct {
			p.bound(int(slot))
		}
	}
}

// addChunk adds a stored chunk of the same kind and slots.
func (p *page) addChunk(r *chunkReader) error {
	if r.kind != p.kind || r.perDay != p.perDay {
		return r.fail("kind or slot width differs from another chunk's of the same key")
	}
	if !p.kind.plain() {
		p.scale = max(p.scale, r.scale)
		for r.Next() {
			p.addState(r.slot, &r.state)
		}
		return r.err
	}
	if r.scale > p.scale && !p.rescale(r.scale) {
		return r.fail("value out of range")
	}
	if up := p.scale - r.scale; up != 0 || r.marking || p.kind != Numeric {
		return p.addRows(r, up)
	}
	return p.addSums(r)
}

// addRows adds a chunk whose numbers have to be multiplied by 10^up.
func (p *page) addRows(r *chunkReader, up uint8) error {
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

// addSums does what addRows does for most chunks: Numeric, of the page's
// scale and nowhere dirty. Merging spends its time here, hence the local copies of what step keeps in r.
func (p *page) addSums(r *chunkReader) error {
	codes, rows, slot := r.codes, r.rows, 0
	var padded [maxRowNumbers]byte
	for i, left := range r.slots[:(p.perDay+63)/64] {
		for ; left != 0; left &= left - 1 {
			slot = i<<6 + bits.TrailingZeros64(left)
			code := codes[0]
			codes = codes[1:]
			short, number := code>>4, code&15
			n := int(short) + int(wideBytes[number])
			b := rows
			if len(b) < maxRowNumbers {
				if n > len(b) {
					return r.fail("bad row")
				}
				copy(padded[:], b)
				b = padded[:]
			}
			if short > 8 {
				return r.fail("bad row")
			}
			p.addNumber(slot, loadShort(b, short), loadWide(b[short:], number))
			rows = rows[n:]
		}
	}
	if len(rows) != 0 {
		return r.fail("bytes left over")
	}
	return nil
}

// rescale changes the unit of all numbers to the smaller 10^-scale.
func (p *page) rescale(scale uint8) bool {
	for _, slot := range p.slots() {
		v, ok := p.nums[slot].value.scaleUp(scale - p.scale)
		if !ok {
			return false
		}
		p.nums[slot].value = v
	}
	p.scale = scale
	return true
}

// slots returns the slots that are there in ascending order, until its next call.
func (p *page) slots() []uint16 {
	p.list = p.list[:0]
	for i, word := range p.set[:(p.perDay+63)/64] {
		for ; word != 0; word &= word - 1 {
			p.list = append(p.list, uint16(i<<6+bits.TrailingZeros64(word)))
		}
	}
	return p.list
}

// compact drops the slots that say nothing and returns the others.
func (p *page) compact() []uint16 {
	list := p.slots()
	kept := list[:0]
	for _, slot := range list {
		if p.says(slot) || p.marked && p.dirty[slot] != 0 {
			kept = append(kept, slot)
		} else {
			p.set[slot>>6] &^= 1 << (slot & 63)
		}
	}
	return kept
}

// says tells whether a slot's state is other than the identity, dirt aside.
func (p *page) says(slot uint16) bool {
	if !p.kind.plain() {
		return p.states[slot].Count != 0
	}
	n := &p.nums[slot]
	return n.count != 0 || !n.value.isZero()
}

// shrink makes the unit, 10^-12 until now, as large as the values allow.
func (p *page) shrink() {
	p.scale = 0
	list := p.slots()
	switch p.kind {
	case Distinct:
		return
	case Last:
		for _, slot := range list {
			if s := &p.states[slot]; s.Count > 0 {
				p.scale = max(p.scale, wideOfQuantity(s.Value).decimals())
			}
		}
		return
	}
	// Integers are the common case: divide at once, and undo it at the first that is none.
	for i, slot := range list {
		v, ok := p.nums[slot].value.units()
		if ok {
			p.nums[slot].value = v
			continue
		}
		for _, done := range list[:i] {
			p.nums[done].value, _ = p.nums[done].value.scaleUp(maxScale)
		}
		p.shrinkDecimals(list)
		return
	}
}

func (p *page) shrinkDecimals(list []uint16) {
	for _, slot := range list {
		if p.scale = max(p.scale, p.nums[slot].value.decimals()); p.scale == maxScale {
			return
		}
	}
	for _, slot := range list {
		n := &p.nums[slot]
		n.value = n.value.scaleDown(maxScale - p.scale)
	}
}

// encode appends the page's chunk.
func (p *page) encode(dst []byte) []byte {
	list := p.compact()
	n := len(list)
	flags := byte(p.kind)
	bitmap := n > 0 && n >= bitmapFrom(p.perDay)
	if bitmap {
		flags |= flagBitmap
	}
	var marks []byte
	if p.marked {
		if marks = p.appendMarks(p.scratch[:0], list); len(marks) > 0 {
			flags |= flagDirty
		}
		p.scratch = marks
	}
	dst = append(dst, chunkVersion, flags, p.scale)
	dst = binary.AppendUvarint(dst, uint64(p.perDay))
	dst = binary.AppendUvarint(dst, uint64(n))
	if bitmap {
		for i := 0; i < p.perDay; i += 8 {
			dst = append(dst, byte(p.set[i>>6]>>(i&63)))
		}
	} else {
		next := uint16(0)
		for _, slot := range list {
			dst = binary.AppendUvarint(dst, uint64(slot-next))
			next = slot + 1
		}
	}
	if len(marks) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(marks)))
		dst = append(dst, marks...)
	}
	if p.kind.plain() {
		return p.appendNumbers(dst, list)
	}
	return p.appendStates(dst, list)
}

// appendMarks writes the dirty slots, nothing if there are none.
func (p *page) appendMarks(dst []byte, list []uint16) []byte {
	gap := uint64(0)
	for _, slot := range list {
		if p.dirty[slot] == 0 {
			gap++
			continue
		}
		dst = binary.AppendUvarint(dst, gap)
		dst = binary.AppendUvarint(dst, p.dirty[slot])
		gap = 0
	}
	return dst
}

// appendNumbers writes the codes and rows of a page of numbers.
func (p *page) appendNumbers(dst []byte, list []uint16) []byte {
	at := len(dst)
	dst = slices.Grow(dst, len(list)*(1+maxRowNumbers))
	out := dst[:cap(dst)]
	pos := at + len(list)
	for i, slot := range list {
		n := &p.nums[slot]
		short, code := shortBytes(n.count), n.value.code()
		out[at+i] = short<<4 | code
		binary.LittleEndian.PutUint64(out[pos:], uint64(n.count))
		pos += int(short)
		if code <= shortCodes {
			binary.LittleEndian.PutUint64(out[pos:], n.value.w0)
			pos += int(code)
		} else {
			n.value.put(out[pos:])
			pos += int(wideBytes[code])
		}
	}
	return out[:pos]
}

// appendStates writes the codes and rows of a page of states.
func (p *page) appendStates(dst []byte, list []uint16) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, len(list))...)
	for i, slot := range list {
		s := &p.states[slot]
		var value wide
		if p.kind == Last && s.Count > 0 {
			value = wideOfQuantity(s.Value).scaleDown(maxScale - p.scale)
		}
		short, code := shortBytes(s.Count), value.code()
		dst[at+i] = short<<4 | code
		var row [maxRowNumbers]byte
		binary.LittleEndian.PutUint64(row[:], uint64(s.Count))
		value.put(row[short:])
		dst = append(dst, row[:short+wideBytes[code]]...)
		if s.Count == 0 {
			continue
		}
		if p.kind == Last {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Time))
			dst = binary.AppendUvarint(dst, uint64(len(s.Source)))
			dst = append(dst, s.Source...)
			dst = binary.AppendUvarint(dst, uint64(len(s.ID)))
			dst = append(dst, s.ID...)
			continue
		}
		set := s.Set
		if set == nil {
			set = new(Set)
		}
		dst = set.appendTo(dst)
	}
	return dst
}
