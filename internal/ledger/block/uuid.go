package block

import "encoding/binary"

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

// appendUUID writes the canonical text of a UUID.
func appendUUID(dst []byte, u []byte) []byte {
	_ = u[15]
	var t [36]byte
	at := 0
	for i, c := range u[:16] {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			t[at] = '-'
			at++
		}
		t[at], t[at+1] = hexDigits[c>>4], hexDigits[c&15]
		at += 2
	}
	return append(dst, t[:]...)
}
