package cell

import (
	"encoding/binary"

	"odometer/internal/meter"
)

// A stored value is what the columns of a store keep of one group and day:
//
//	chunk                              column 0, and no other
//	2, then column, length, chunk ...  any columns, by ascending number
//
// So a meter that shares its keys with nobody has plain chunks.
const rowVersion = 2

// MaxStored bounds the columns that share keys: whoever reads one of them
// reads past the others.
const MaxStored = 8

// parts goes through the columns of a stored value.
type parts struct {
	rest   []byte
	plain  bool // rest is a chunk
	column int  // -1 before the first
	chunk  []byte
	bad    bool
}

func partsOf(value []byte) parts {
	if len(value) > 0 && value[0] == rowVersion {
		return parts{rest: value[1:], column: -1, bad: len(value) == 1}
	}
	return parts{rest: value, column: -1, plain: true}
}

// next moves to the next column; it returns false at the end and on damage.
func (p *parts) next() bool {
	if p.plain { // its reader checks it
		p.plain, p.column, p.chunk, p.rest = false, 0, p.rest, nil
		return true
	}
	if p.bad || len(p.rest) == 0 {
		return false
	}
	column := int(p.rest[0])
	size, n := binary.Uvarint(p.rest[1:])
	if column <= p.column || column >= MaxStored || n <= 0 || size > uint64(len(p.rest)-1-n) {
		p.bad = true
		return false
	}
	p.chunk = p.rest[1+n : 1+n+int(size)]
	p.rest = p.rest[1+n+int(size):]
	p.column = column
	return true
}

func (p *parts) err() error {
	if p.bad {
		return corrupt("bad row of columns")
	}
	return nil
}

// columnOf returns the chunk of one column of a stored value, nil if it has none.
func columnOf(value []byte, column int) ([]byte, error) {
	p := partsOf(value)
	for p.next() {
		if p.column == column {
			return p.chunk, nil
		}
		if p.column > column {
			return nil, nil
		}
	}
	return nil, p.err()
}

// appendPart appends one column to a row that has been begun.
func appendPart(dst []byte, column int, chunk []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(column)), uint64(len(chunk)))
	return append(dst, chunk...)
}

// withColumn returns the stored value, nil = there is none, in which a column has a chunk.
func withColumn(value []byte, column int, chunk []byte) ([]byte, error) {
	dst := []byte{rowVersion}
	there := false
	p := partsOf(value)
	for value != nil && p.next() {
		if p.column >= column && !there {
			dst, there = appendPart(dst, column, chunk), true
		}
		if p.column != column {
			dst = appendPart(dst, p.column, p.chunk)
		}
	}
	if !there {
		dst = appendPart(dst, column, chunk)
	}
	return dst, p.err()
}

// checkColumn reports a column that cannot be stored.
func (l *Layout) checkColumn() error {
	if l.Column < 0 || l.Column >= MaxStored {
		return meter.Errorf(meter.KindInternal, "cells of meter version %d: column %d, want 0 to %d", l.Version, l.Column, MaxStored-1)
	}
	return nil
}
