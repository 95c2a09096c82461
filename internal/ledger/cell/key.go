package cell

import (
	"encoding/binary"

	"odometer/internal/meter"
)

// The projections of a meter that are kept as chunks. Their numbers are stored.
const (
	ProjectionAll              uint8 = 0 // every group_by attribute
	ProjectionCustomer         uint8 = 1 // the customer alone
	ProjectionTotal            uint8 = 2 // no group
	ProjectionCustomerContract uint8 = 3 // customer and contract
)

// Projection is a grouping derived from a meter's full groups.
type Projection struct {
	ID   uint8
	Take []int // positions of its ids in the full group; empty = the total
}

// Layout says where the chunks of one meter version lie and what is in them.
type Layout struct {
	Prefix      []byte // put before every key by the caller's choice, may be empty
	Org         string
	Version     uint32 // of the meter
	Store       uint32 // the version that the keys have, 0 = the meter's own; see MaxStored
	Column      int    // the meter's among those that share the keys
	Kind        Kind
	Groups      int // ids in the full group
	SlotsPerDay int // 1 to maxSlotsPerDay
	SetValues   int // distinct values a slot may hold, 0 = any number; see Permanent
}

// check reports a layout that cannot be stored.
func (l *Layout) check() error {
	if l.SlotsPerDay < 1 || l.SlotsPerDay > maxSlotsPerDay {
		return meter.Errorf(meter.KindInternal, "cells of meter version %d: %d slots a day, want 1 to %d", l.Version, l.SlotsPerDay, maxSlotsPerDay)
	}
	if l.Kind < Numeric || l.Kind > Distinct {
		return meter.Errorf(meter.KindInternal, "cells of meter version %d: unknown kind %d", l.Version, l.Kind)
	}
	return l.checkColumn()
}

// Day returns the day of a slot and the slot's number in it.
func (l *Layout) Day(slot int32) (day int32, inDay int) {
	return splitSlot(slot, int32(l.SlotsPerDay))
}

func splitSlot(slot, perDay int32) (day int32, inDay int) {
	day = slot / perDay
	rest := slot % perDay
	if rest < 0 {
		day--
		rest += perDay
	}
	return day, int(rest)
}

const (
	dayBytes = 4
	// dayFlip makes days before 1970 sort before the others.
	dayFlip = 1 << 31
)

// AppendMeterPrefix appends the prefix that all keys of a meter version begin
// with, and those of the meters that share its keys.
func (l *Layout) AppendMeterPrefix(dst []byte) []byte {
	dst = append(dst, l.Prefix...)
	dst = binary.AppendUvarint(dst, uint64(len(l.Org)))
	dst = append(dst, l.Org...)
	if l.Store != 0 {
		return binary.BigEndian.AppendUint32(dst, l.Store)
	}
	return binary.BigEndian.AppendUint32(dst, l.Version)
}

// AppendKey appends the key of one chunk.
func (l *Layout) AppendKey(dst []byte, projection uint8, group []uint64, day int32) []byte {
	return appendDay(appendGroup(append(l.AppendMeterPrefix(dst), projection), group), day)
}

func appendGroup(dst []byte, group []uint64) []byte {
	for _, id := range group {
		dst = binary.BigEndian.AppendUint64(dst, id)
	}
	return dst
}

func appendDay(dst []byte, day int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(day)^dayFlip)
}

// takeDay reads the day at the end of a key.
func takeDay(key []byte) int32 {
	return int32(binary.BigEndian.Uint32(key[len(key)-dayBytes:]) ^ dayFlip)
}
