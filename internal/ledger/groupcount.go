package ledger

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"odometer/internal/meter"
)

// groupCount says how many groups a meter has seen, without knowing which: the
// hashes of the first few, then the registers of a HyperLogLog (Flajolet et
// al., 2007) of 1,024. It is exact up to groupsCounted, and 3.2 % off (standard
// error) beyond. It is a function of the groups alone, in whatever order and
// however often they are added.
type groupCount struct {
	few       []uint64 // ascending
	registers []byte   // nil while few will do
	changed   bool     // since it was stored
	sum, free uint64   // as tally returns them; sum is 0 where nobody counted
}

const (
	groupsCounted   = 128
	groupRegisters  = 1 << groupIndexBits
	groupIndexBits  = 10
	groupHighest    = 40 // the greatest rank: 2^50 groups
	groupCountFew   = 0
	groupCountDense = 1
)

// add notes a group.
func (c *groupCount) add(group []uint64) { c.note(groupHash(group)) }

func groupHash(group []uint64) uint64 {
	h := uint64(len(group))
	for _, id := range group {
		h = mixed(h ^ id)
	}
	return h
}

// note notes the group of a hash.
func (c *groupCount) note(h uint64) {
	if c.registers == nil {
		at, found := slices.BinarySearch(c.few, h)
		if found {
			return
		}
		c.changed = true
		if len(c.few) < groupsCounted {
			c.few = slices.Insert(c.few, at, h)
			return
		}
		c.registers = make([]byte, groupRegisters)
		for _, f := range c.few {
			c.register(f)
		}
		c.few = nil
	}
	c.register(h)
}

func (c *groupCount) register(h uint64) {
	rank := byte(min(bits.LeadingZeros64(h<<groupIndexBits)+1, groupHighest))
	if r := &c.registers[h>>(64-groupIndexBits)]; rank > *r {
		if c.sum == 0 {
			c.sum, c.free = c.tally()
		}
		if c.sum -= 1<<(groupHighest-*r) - 1<<(groupHighest-rank); *r == 0 {
			c.free--
		}
		*r, c.changed = rank, true
	}
}

// tally returns the sum of 2^-rank, in units of 2^-groupHighest, and how many
// registers have no group.
func (c *groupCount) tally() (sum, free uint64) {
	for _, rank := range c.registers {
		sum += 1 << (groupHighest - rank)
		if rank == 0 {
			free++
		}
	}
	return sum, free
}

// mixed is the finaliser of SplitMix64.
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// estimate returns the number of groups.
func (c *groupCount) estimate() uint64 {
	if c.registers == nil {
		return uint64(len(c.few))
	}
	sum, free := c.sum, c.free
	if sum == 0 {
		sum, free = c.tally()
	}
	const squared = 755_540 // 0.7213 / (1 + 1.079/1024) * 1024^2
	raw := squared << groupHighest / sum
	if free > 0 && raw < groupRegisters*5/2 {
		// Few registers are hit: how many are not says more.
		return groupRegisters * naturalLog(groupRegisters, free) >> logBits
	}
	return raw
}

const logBits = 20

// naturalLog returns ln(a/b) in units of 2^-logBits, a >= b > 0.
func naturalLog(a, b uint64) uint64 {
	x := a << 31 / b // a/b in units of 2^-31
	log := uint64(0)
	for x >= 1<<32 {
		x >>= 1
		log += 1 << logBits
	}
	for bit := uint64(1) << (logBits - 1); bit > 0; bit >>= 1 { // squaring doubles the logarithm
		if x = x * x >> 31; x >= 1<<32 {
			x >>= 1
			log += bit
		}
	}
	return log * 726_817 >> logBits // ln 2
}

// encode returns what is stored.
func (c *groupCount) encode() []byte {
	if c.registers != nil {
		return append([]byte{groupCountDense}, c.registers...)
	}
	out := []byte{groupCountFew}
	for _, h := range c.few {
		out = binary.BigEndian.AppendUint64(out, h)
	}
	return out
}

// decodeGroupCount reads what encode made.
func decodeGroupCount(b []byte) (groupCount, error) {
	var c groupCount
	switch {
	case len(b) == 1+groupRegisters && b[0] == groupCountDense && slices.Max(b[1:]) <= groupHighest:
		c.registers = slices.Clone(b[1:])
		c.sum, c.free = c.tally()
		return c, nil
	case len(b)%8 == 1 && len(b)/8 <= groupsCounted && b[0] == groupCountFew:
		for at := 1; at < len(b); at += 8 {
			c.few = append(c.few, binary.BigEndian.Uint64(b[at:]))
		}
		if slices.IsSorted(c.few) {
			return c, nil
		}
	}
	return c, meter.Errorf(meter.KindCorrupt, "the count of a meter's groups is damaged")
}
