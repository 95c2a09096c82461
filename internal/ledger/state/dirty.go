package state

import (
	"cmp"
	"encoding/binary"

	"odometer/internal/meter"
)

// DirtySlot is a slot of a meter that voids made dirty, with all of its groups:
// the unit that is recomputed.
type DirtySlot struct {
	Version uint32
	Slot    int32
}

// Compare orders slots as their keys are.
func (s DirtySlot) Compare(o DirtySlot) int {
	return cmp.Or(cmp.Compare(s.Version, o.Version), cmp.Compare(s.Slot, o.Slot))
}

// Key is 'y' version:4 slot:4, the slot with its top bit flipped so that keys sort by it.
func (s DirtySlot) Key() []byte {
	k := binary.BigEndian.AppendUint32([]byte{KeyDirty}, s.Version)
	return binary.BigEndian.AppendUint32(k, uint32(s.Slot)^1<<31)
}

// DirtyKey is the key of one group's mark.
func DirtyKey(s DirtySlot, group []uint64) []byte {
	k := s.Key()
	for _, id := range group {
		k = binary.BigEndian.AppendUint64(k, id)
	}
	return k
}

const dirtyKeyFixed = 9

// ParseDirtyKey reads a 'y' key.
func ParseDirtyKey(key []byte) (s DirtySlot, group []uint64, err error) {
	if len(key) < dirtyKeyFixed || len(key)%8 != dirtyKeyFixed%8 {
		return s, nil, meter.Errorf(meter.KindCorrupt, "dirty slot key %x is damaged", key)
	}
	s.Version = binary.BigEndian.Uint32(key[1:])
	s.Slot = int32(binary.BigEndian.Uint32(key[5:]) ^ 1<<31)
	for b := key[dirtyKeyFixed:]; len(b) > 0; b = b[8:] {
		group = append(group, binary.BigEndian.Uint64(b))
	}
	return s, group, nil
}
