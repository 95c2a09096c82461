package idset

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"odometer/internal/ledger/block"
)

// filter is a blocked Bloom filter: a hash belongs to one 64-byte block, in
// which it sets one bit of each of the eight words. The block grows with the
// hash, so a run that is written in order fills its filter front to back.
type filter struct {
	blocks []filterBlock
	mem    *memory
}

type filterBlock [8]uint64

const filterBlockBytes = 64

// filterBlocks returns the number of blocks that give each of n hashes the
// asked number of bits; at least one.
func filterBlocks(n uint64, bitsPerID int) uint64 {
	return max(1, (n*uint64(bitsPerID)+511)/512)
}

func newFilter(blocks uint64, total *atomic.Int64) *filter {
	mem := allocate(int(blocks)*filterBlockBytes, total)
	return &filter{blocks: sliceOf[filterBlock](mem), mem: mem}
}

func (f *filter) free() { f.mem.free(); f.blocks = nil }

// filterBits packs the eight bit positions, six bits each. The block is
// chosen by the high bits of Hi; these are others.
func filterBits(h block.Hash) uint64 { return uint64(h.Lo)<<16 | h.Hi&0xffff }

func (f *filter) add(h block.Hash) {
	j, _ := bits.Mul64(h.Hi, uint64(len(f.blocks)))
	b, x := &f.blocks[j], filterBits(h)
	for i := range b {
		b[i] |= 1 << (x & 63)
		x >>= 6
	}
}

// has returns 1 if the hash may be in the set and 0 if it is not.
func (f *filter) has(h block.Hash) uint64 {
	j, _ := bits.Mul64(h.Hi, uint64(len(f.blocks)))
	b, x := &f.blocks[j], filterBits(h)
	return b[0] >> (x & 63) & (b[1] >> (x >> 6 & 63)) & (b[2] >> (x >> 12 & 63)) & (b[3] >> (x >> 18 & 63)) &
		(b[4] >> (x >> 24 & 63)) & (b[5] >> (x >> 30 & 63)) & (b[6] >> (x >> 36 & 63)) & (b[7] >> (x >> 42 & 63)) & 1
}

// candidates writes the positions of the hashes that may be in the set to the
// front of out, which is as long as hashes, and returns how many there are.
// Nothing in the loop depends on an earlier round, so the processor keeps
// several blocks on their way from memory.
func (f *filter) candidates(hashes []block.Hash, out []uint32) int {
	out = out[:len(hashes)]
	n := 0
	for i, h := range hashes {
		out[n] = uint32(i)
		n += int(f.has(h))
	}
	return n
}

// encode appends the blocks from position at on, as many as fit in dst's capacity.
func (f *filter) encode(dst []byte, at int) ([]byte, int) {
	for ; at < len(f.blocks) && len(dst)+filterBlockBytes <= cap(dst); at++ {
		for _, w := range f.blocks[at] {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
	}
	return dst, at
}

// decode fills the blocks from position at on with what src holds, a whole
// number of blocks.
func (f *filter) decode(src []byte, at int) int {
	for ; len(src) > 0; at++ {
		b := &f.blocks[at]
		for i := range b {
			b[i] = binary.LittleEndian.Uint64(src[8*i:])
		}
		src = src[filterBlockBytes:]
	}
	return at
}
