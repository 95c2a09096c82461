package block

import (
	"encoding/binary"

	"odometer/internal/meter"
)

// reader takes a body apart. The first failure sticks, and everything read
// after it is zero.
type reader struct {
	b       []byte // the whole body
	at, end int    // next byte, end of the contents
	texted  uint64 // bytes of text so far
	entries int    // column entries so far
	version byte
	err     *meter.Error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = meter.Errorf(meter.KindCorrupt, "block body: bad %s at byte %d", what, r.at)
		r.at = r.end
	}
}

// take returns the next n bytes, nil on failure.
func (r *reader) take(n int) []byte {
	if n < 0 || n > r.end-r.at {
		r.fail("length")
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.fail("length")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:r.end])
	if n <= 0 {
		r.fail("number")
		return 0
	}
	r.at += n
	return v
}

// count reads a number that must not exceed limit.
func (r *reader) count(limit int, what string) int {
	v := r.uvarint()
	if v > uint64(limit) {
		r.fail(what)
		return 0
	}
	return int(v)
}

// text returns the next text with its length; it aliases the body.
func (r *reader) text() []byte { return r.take(r.count(r.end, "text")) }

func (r *reader) string() string { return string(r.text()) }

// takeText accounts for n more bytes of text.
func (r *reader) takeText(n uint64) bool {
	if r.texted += n; n > maxTextBytes || r.texted > maxTextBytes {
		r.fail("amount of text")
		return false
	}
	return true
}

// bits returns a packed list with the 8 readable bytes that follow it; nil
// only on failure.
func (r *reader) bits(n int, width uint) []byte {
	if r.take(packedLen(n, width)) == nil {
		return nil
	}
	start := r.at - packedLen(n, width)
	return r.b[start : r.at+tailBytes]
}
