package verify

import "math/bits"

// places finds the cells of a table by their keys. A key and its cell's number
// lie side by side, so that finding one waits for memory once; with millions of
// cells that wait is most of what counting an event takes.
type places struct {
	slots []place // a power of two, three quarters full at most
	used  int
	shift int
}

type place struct {
	key  uint64
	cell uint32 // from 1; 0 = empty
}

const fewestPlaces = 1 << 10

// at returns the slot of a key, or the empty one where it belongs.
func (p *places) at(key uint64) *place {
	i := key * 0x9e3779b97f4a7c15 >> p.shift
	for {
		s := &p.slots[i]
		if s.cell == 0 || s.key == key {
			return s
		}
		i = (i + 1) & uint64(len(p.slots)-1)
	}
}

// get returns the number of a cell.
func (p *places) get(key uint64) (uint32, bool) {
	if p.used == 0 {
		return 0, false
	}
	s := p.at(key)
	return s.cell - 1, s.cell != 0
}

// put notes the number of a cell that get has not found.
func (p *places) put(key uint64, cell uint32) {
	if p.used >= len(p.slots)/4*3 {
		p.grow()
	}
	*p.at(key) = place{key, cell + 1}
	p.used++
}

func (p *places) grow() {
	old := p.slots
	p.slots = make([]place, max(fewestPlaces, 2*len(old)))
	p.shift = 64 - bits.Len(uint(len(p.slots)-1))
	for i := range old {
		if old[i].cell != 0 {
			*p.at(old[i].key) = old[i]
		}
	}
}

// clear empties it, and keeps the room.
func (p *places) clear() {
	clear(p.slots)
	p.used = 0
}
