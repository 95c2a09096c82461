package block

import (
	"odometer/internal/meter"
)

// leafDict is an interner that remembers each text's content leaf; a leaf of
// 0 is not known yet.
type leafDict struct {
	interner
	leaves []uint64
}

func (d *leafDict) reset() {
	d.interner.reset()
	d.leaves = d.leaves[:0]
}

// add interns a text without computing its leaf.
func (d *leafDict) add(text []byte) uint32 {
	code, added := d.intern(text)
	if added {
		d.leaves = append(d.leaves, 0)
	}
	return code
}

// leaf interns a text and returns the leaf of its kind.
func (d *leafDict) leaf(prefix sip, kind meter.ValueKind, text []byte) (code uint32, leaf uint64) {
	code = d.add(text)
	leaf = d.leaves[code]
	if leaf == 0 {
		leaf = textLeaf(prefix, kind, text)
		d.leaves[code] = leaf
	}
	return code, leaf
}

func (d *leafDict) dropLast() {
	d.interner.dropLast()
	d.leaves = d.leaves[:len(d.leaves)-1]
}
