package cell

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Set is an exact set of interned ids, laid out as Roaring bitmaps are: the
// ids that share their upper 48 bits form a container, a sorted array while
// it has fewer than 4096 ids and a bitmap from there on. A container's form follows
// from its content alone, so equal sets have equal bytes. The zero Set is
// empty. Methods that do not change a Set may run concurrently.
type Set struct {
	boxes []container // by key
	size  int         // ids in all
}

// container holds the ids that are key<<16 plus a low part. Exactly one of
// the two forms is in use: bitmap if n >= denseIDs, else array.
type container struct {
	key    uint64
	n      int
	array  []uint16
	bitmap []uint64 // bitmapWords long
}

const (
	denseIDs    = 4096
	bitmapWords = 1024
	bitmapBytes = bitmapWords * 8
	maxBoxKey   = 1<<48 - 1
)

// Len returns the number of ids in the set.
func (s *Set) Len() int { return s.size }

// Reset empties the set and keeps some of its memory.
func (s *Set) Reset() {
	s.boxes, s.size = s.boxes[:0], 0
}

// bytes returns about how much memory the set holds.
func (s *Set) bytes() int64 {
	n := int64(cap(s.boxes)) * 64
	for i := range s.boxes {
		n += int64(cap(s.boxes[i].array))*2 + int64(cap(s.boxes[i].bitmap))*8
	}
	return n
}

// has tells whether the set holds id.
func (s *Set) has(id uint64) bool {
	i, ok := s.find(id >> 16)
	if !ok {
		return false
	}
	c, low := &s.boxes[i], uint16(id)
	if c.n >= denseIDs {
		return c.bitmap[low>>6]>>(low&63)&1 != 0
	}
	_, ok = slices.BinarySearch(c.array, low)
	return ok
}

// Add puts id into the set and tells by how many bytes the set grew; 0 says
// that it was there, or that there was room for it.
func (s *Set) Add(id uint64) (grown int) {
	i, ok := s.find(id >> 16)
	if !ok {
		before := cap(s.boxes)
		i = s.open(i, id>>16)
		grown = (cap(s.boxes) - before) * 64
	}
	c, low := &s.boxes[i], uint16(id)
	if c.n >= denseIDs {
		word, bit := &c.bitmap[low>>6], uint64(1)<<(low&63)
		if *word&bit == 0 {
			*word |= bit
			c.n++
			s.size++
		}
		return grown
	}
	at, ok := slices.BinarySearch(c.array, low)
	if ok {
		return grown
	}
	before := cap(c.array)
	c.array = slices.Insert(c.array, at, low)
	grown += (cap(c.array) - before) * 2
	c.n++
	s.size++
	if c.n == denseIDs {
		c.densify()
		grown += bitmapBytes
	}
	return grown
}

// union adds every id of o.
func (s *Set) union(o *Set) {
	for i := range o.boxes {
		oc := &o.boxes[i]
		at, ok := s.find(oc.key)
		if !ok {
			at = s.open(at, oc.key)
		}
		c := &s.boxes[at]
		s.size -= c.n
		c.union(oc)
		s.size += c.n
	}
}

// All calls yield for each id in ascending order until it returns false.
func (s *Set) All(yield func(id uint64) bool) {
	for i := range s.boxes {
		c := &s.boxes[i]
		base := c.key << 16
		if c.n < denseIDs {
			for _, low := range c.array {
				if !yield(base | uint64(low)) {
					return
				}
			}
			continue
		}
		for w, word := range c.bitmap {
			for ; word != 0; word &= word - 1 {
				if !yield(base | uint64(w<<6+bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

func (s *Set) find(key uint64) (int, bool) {
	// Ids are given in order, so the last container is the likely one.
	if n := len(s.boxes); n > 0 && s.boxes[n-1].key <= key {
		if s.boxes[n-1].key == key {
			return n - 1, true
		}
		return n, false
	}
	return slices.BinarySearchFunc(s.boxes, key, func(c container, key uint64) int {
		if c.key < key {
			return -1
		} else if c.key > key {
			return 1
		}
		return 0
	})
}

// open makes an empty container for key at index i, reusing the buffers of
// one that Reset left behind.
func (s *Set) open(i int, key uint64) int {
	n := len(s.boxes)
	if n < cap(s.boxes) {
		s.boxes = s.boxes[:n+1]
	} else {
		s.boxes = append(s.boxes, container{})
	}
	spare := s.boxes[n]
	copy(s.boxes[i+1:], s.boxes[i:n])
	s.boxes[i] = container{key: key, array: spare.array[:0], bitmap: spare.bitmap[:0]}
	return i
}

// densify turns the array of a container into its bitmap.
func (c *container) densify() {
	c.clearBitmap()
	for _, low := range c.array {
		c.bitmap[low>>6] |= 1 << (low & 63)
	}
	c.array = nil
}

// clearBitmap gives the container an empty bitmap.
func (c *container) clearBitmap() {
	if cap(c.bitmap) < bitmapWords {
		c.bitmap = make([]uint64, bitmapWords)
		return
	}
	c.bitmap = c.bitmap[:bitmapWords]
	clear(c.bitmap)
}

func (c *container) union(o *container) {
	switch {
	case o.n == 0:
	case o.n >= denseIDs:
		if c.n < denseIDs {
			c.densify()
		}
		n := 0
		for i, w := range o.bitmap {
			c.bitmap[i] |= w
			n += bits.OnesCount64(c.bitmap[i])
		}
		c.n = n
	case c.n >= denseIDs:
		for _, low := range o.array {
			word, bit := &c.bitmap[low>>6], uint64(1)<<(low&63)
			if *word&bit == 0 {
				*word |= bit
				c.n++
			}
		}
	default:
		c.mergeArray(o.array)
	}
}

// mergeArray merges a sorted array into the container's own, from the back so
// that no second buffer is needed.
func (c *container) mergeArray(o []uint16) {
	a := c.array
	i, j := len(a), len(o)
	a = slices.Grow(a, j)[:i+j]
	k := i + j
	for j > 0 {
		switch {
		case i > 0 && a[i-1] > o[j-1]:
			i, k = i-1, k-1
			a[k] = a[i]
		case i > 0 && a[i-1] == o[j-1]:
			i, j, k = i-1, j-1, k-1
			a[k] = a[i]
		default:
			j, k = j-1, k-1
			a[k] = o[j]
		}
	}
	// a[:i] stayed in place; close the gap that equal ids left.
	n := copy(a[i:], a[k:])
	c.array = a[:i+n]
	c.n = len(c.array)
	if c.n >= denseIDs {
		c.densify()
	}
}

// appendTo writes the set: uvarint containers, then for each uvarint gap of the
// key to the one before (minus one from the second on), uvarint ids minus one, and
// the low parts: two bytes each, little endian, ascending, if fewer than 4096, else a bitmap of 8192 bytes.
func (s *Set) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.boxes)))
	next := uint64(0)
	for i := range s.boxes {
		c := &s.boxes[i]
		dst = binary.AppendUvarint(dst, c.key-next)
		next = c.key + 1
		dst = binary.AppendUvarint(dst, uint64(c.n-1))
		if c.n < denseIDs {
			for _, low := range c.array {
				dst = binary.LittleEndian.AppendUint16(dst, low)
			}
			continue
		}
		for _, w := range c.bitmap {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
	}
	return dst
}

// take replaces the set by the one that b begins with and returns its length.
func (s *Set) take(b []byte) (int, error) {
	s.Reset()
	in := decoder{b: b}
	boxes := in.uvarint()
	next := uint64(0)
	for ; boxes > 0 && in.ok(); boxes-- {
		gap, ids := in.uvarint(), in.uvarint()
		if !in.ok() || next > maxBoxKey || gap > maxBoxKey-next || ids > 1<<16-1 {
			return 0, errSet
		}
		n := int(ids) + 1
		c := &s.boxes[s.open(len(s.boxes), next+gap)]
		next = c.key + 1
		c.n = n
		if n < denseIDs {
			if !c.takeArray(in.bytes(2*n), n) {
				return 0, errSet
			}
		} else if !c.takeBitmap(in.bytes(bitmapBytes), n) {
			return 0, errSet
		}
		s.size += n
	}
	if !in.ok() {
		return 0, errSet
	}
	return len(b) - len(in.b), nil
}

var errSet = corrupt("damaged set of values")

func (c *container) takeArray(b []byte, n int) bool {
	if b == nil {
		return false
	}
	c.array = slices.Grow(c.array[:0], n)
	last := -1
	for ; n > 0; n-- {
		low := binary.LittleEndian.Uint16(b)
		if int(low) <= last {
			return false
		}
		last = int(low)
		c.array = append(c.array, low)
		b = b[2:]
	}
	return true
}

func (c *container) takeBitmap(b []byte, n int) bool {
	if b == nil {
		return false
	}
	c.clearBitmap()
	for i := range c.bitmap {
		c.bitmap[i] = binary.LittleEndian.Uint64(b[8*i:])
		n -= bits.OnesCount64(c.bitmap[i])
	}
	return n == 0
}
