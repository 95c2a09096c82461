package block

import (
	"encoding/binary"
	"slices"
)

// parseUUID reads a canonical UUID: 36 bytes, lower-case hexadecimal in
// groups of 8-4-4-4-12. It reports whether text is one; only these are stored
// and hashed as 16 bytes, so that nothing of an id's text is lost.
func parseUUID(dst *[16]byte, text []byte) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	a := binary.LittleEndian.Uint64(text)
	b := uint64(binary.LittleEndian.Uint32(text[9:])) | uint64(binary.LittleEndian.Uint32(text[14:]))<<32
	c := uint64(binary.LittleEndian.Uint32(text[19:])) | uint64(binary.LittleEndian.Uint32(text[24:]))<<32
	d := binary.LittleEndian.Uint64(text[28:])
	a, okA := hex8(a)
	b, okB := hex8(b)
	c, okC := hex8(c)
	d, okD := hex8(d)
	binary.LittleEndian.PutUint64(dst[:], a|b<<32)
	binary.LittleEndian.PutUint64(dst[8:], c|d<<32)
	return okA && okB && okC && okD
}

// hex8 turns 8 lower-case hexadecimal digits, first one lowest, into 4 bytes.
func hex8(w uint64) (v uint64, ok bool) {
	const ones = 0x0101010101010101
	letter := w >> 6 & ones // bit 6 tells 'a'..'f' from '0'..'9'
	n := w&(0x0f*ones) + 9*letter
	ok = w&(0xf0*ones) == 0x30*ones+0x30*letter && // the high half is 3 or 6
		n&(0xf0*ones) == 0 && // the value is at most 15
		(n+6*ones)>>4&ones == letter // letters are 10..15, digits are not
	n = (n<<4 | n>>8) & 0x00ff00ff00ff00ff
	n = (n | n>>8) & 0x0000ffff0000ffff
	return (n | n>>16) & 0xffffffff, ok
}

const hexDigits = "0123456789abcdef"

// hexPairs holds the two digits of each byte, the first one lower.
var hexPairs = func() (pairs [256]uint16) {
	for i := range pairs {
		pairs[i] = uint16(hexDigits[i>>4]) | uint16(hexDigits[i&15])<<8
	}
	return pairs
}()

// appendUUID writes the canonical text of a UUID.
func appendUUID(dst []byte, u []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, 36)[:n+36]
	t := dst[n : n+36]
	_ = u[15]
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	for i, at := range [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		binary.LittleEndian.PutUint16(t[at:], hexPairs[u[i]])
	}
	return dst
}
