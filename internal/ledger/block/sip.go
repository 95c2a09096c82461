package block

import (
	"encoding/binary"
	"math/bits"
)

// sip is a SipHash-2-4 computation at a multiple of 8 bytes, so that a state
// which has absorbed a common beginning (organization and source, or an
// attribute's path) is kept and continued for every event.
type sip struct {
	v0, v1, v2, v3 uint64
	n              uint64 // bytes absorbed
}

// newSip starts the 64-bit form.
func newSip(k Key) sip {
	return sip{
		v0: k.K0 ^ 0x736f6d6570736575,
		v1: k.K1 ^ 0x646f72616e646f6d,
		v2: k.K0 ^ 0x6c7967656e657261,
		v3: k.K1 ^ 0x7465646279746573,
	}
}

// newSip128 starts the 128-bit form.
func newSip128(k Key) sip {
	s := newSip(k)
	s.v1 ^= 0xee
	return s
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v1
	v0 += v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// word absorbs 8 bytes.
func (s sip) word(m uint64) sip {
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3^m
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	return sip{v0 ^ m, v1, v2, v3, s.n + 8}
}

// frame absorbs a length word, then b padded with zeros to whole words, so
// that no two sequences of frames are the same bytes.
func (s sip) frame(b []byte) sip {
	s = s.word(uint64(len(b)))
	for len(b) >= 8 {
		s = s.word(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) > 0 {
		s = s.word(lastBytes(b))
	}
	return s
}

// lastBytes loads fewer than 8 bytes as a little-endian number.
func lastBytes(b []byte) uint64 {
	var m uint64
	for i := len(b) - 1; i >= 0; i-- {
		m = m<<8 | uint64(b[i])
	}
	return m
}

// absorb takes in the message's end: b, then the byte tag.
func (s sip) absorb(b []byte, tag byte) sip {
	total := s.n + uint64(len(b)) + 1
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3
	for len(b) >= 8 {
		m := binary.LittleEndian.Uint64(b)
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
		b = b[8:]
	}
	m := lastBytes(b) | uint64(tag)<<(8*uint(len(b)))
	if len(b) == 7 {
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
		m = 0
	}
	m |= total << 56
	v3 ^= m
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= m
	return sip{v0, v1, v2, v3, total}
}

// sum64 ends the 64-bit form with b and tag.
func (s sip) sum64(b []byte, tag byte) uint64 {
	s = s.absorb(b, tag)
	v0, v1, v2, v3 := s.v0, s.v1, s.v2^0xff, s.v3
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}

// sum128 ends the 128-bit form with b and tag.
func (s sip) sum128(b []byte, tag byte) (uint64, uint64) {
	s = s.absorb(b, tag)
	v0, v1, v2, v3 := s.v0, s.v1, s.v2^0xee, s.v3
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	first := v0 ^ v1 ^ v2 ^ v3
	v1 ^= 0xdd
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return first, v0 ^ v1 ^ v2 ^ v3
}

// word64 ends the 64-bit form with 8 bytes and tag: sum64 without copies.
func (s *sip) word64(a uint64, tag byte) uint64 {
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3^a
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= a
	m := uint64(tag) | (s.n+9)<<56
	v3 ^= m
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= m
	v2 ^= 0xff
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}

// words64 is word64 of 16 bytes.
func (s *sip) words64(a, b uint64, tag byte) uint64 {
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3^a
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	next := sip{v0 ^ a, v1, v2, v3, s.n + 8}
	return next.word64(b, tag)
}
