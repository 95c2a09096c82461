package cloudevents

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainLen returns how many bytes from b[i] on are plain: ASCII, and neither
// a quote, a backslash nor a control character.
func plainEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ '"'*ones
		slash := w ^ '\\'*ones
		// The lowest marked byte is exact; a borrow only reaches higher ones.
		m := ((quote-ones)&^quote | (slash-ones)&^slash | (w-' '*ones)&^w | w) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// space skips white space.
func (d *decoder) space() {
	d.pos = skipSpace(d.buf, d.pos)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// str reads a string whose opening quote is at pos. The text is part of the
// body or of the scratch, and good until the next event.
func (d *decoder) str() ([]byte, bool) {
	start := d.pos + 1
	i := plainEnd(d.buf, start)
	if i < len(d.buf) && d.buf[i] == '"' {
		d.pos = i + 1
		return d.buf[start:i], true
	}
	return d.longStr(start, i)
}

// longStr reads on at a byte that is not plain.
func (d *decoder) longStr(start, i int) ([]byte, bool) {
	for i < len(d.buf) {
		switch c := d.buf[i]; {
		case c == '"':
			d.pos = i + 1
			text := d.buf[start:i]
			if !utf8.Valid(text) {
				return nil, d.fail("invalid UTF-8 in a string")
			}
			return text, true
		case c == '\\':
			return d.escapedStr(start, i)
		case c < ' ':
			return nil, d.fail("malformed JSON: control character in a string")
		}
		i = plainEnd(d.buf, i+1)
	}
	return nil, d.fail("malformed JSON: a string has no end")
}

// escapedStr reads a string with escapes, the first of them at i.
func (d *decoder) escapedStr(start, i int) ([]byte, bool) {
	from := len(d.scratch)
	out := append(d.scratch, d.buf[start:i]...)
	for i < len(d.buf) {
		c := d.buf[i]
		switch {
		case c == '"':
			d.pos = i + 1
			d.scratch = out
			text := out[from:]
			if !utf8.Valid(text) {
				return nil, d.fail("invalid UTF-8 in a string")
			}
			return text, true
		case c < ' ':
			return nil, d.fail("malformed JSON: control character in a string")
		case c != '\\':
			end := plainEnd(d.buf, i+1)
			out = append(out, d.buf[i:end]...)
			i = end
			continue
		}
		r, n := escape(d.buf[i:])
		switch {
		case n == 0:
			return nil, d.fail("malformed JSON: bad escape in a string")
		case r < 0:
			return nil, d.fail("invalid UTF-16 surrogate in a string")
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return nil, d.fail("malformed JSON: a string has no end")
}

// escape reads the escape sequence at the start of b: its character and its
// length. The length is 0 if it is malformed, the character negative if it is
// half of a surrogate pair.
func escape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(b[2:])
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if low, ok := hex4(b[8:]); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return pair, 12
				}
			}
		}
		return -1, 6
	}
	return 0, 0
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// numberEnd returns the end of the JSON number that starts at b[i], or -1 if
// there is none. What follows the number is not looked at.
func numberEnd(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := i
	i = digitsEnd(b, i)
	if i == digits || b[digits] == '0' && i > digits+1 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		fraction := i + 1
		if i = digitsEnd(b, fraction); i == fraction {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := i
		if i = digitsEnd(b, exponent); i == exponent {
			return -1
		}
	}
	return i
}

func digitsEnd(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// literal reports the length of the literal at b[i], 0 if it is none.
func literalLen(b []byte, i int) int {
	rest := b[i:]
	switch {
	case len(rest) >= 4 && (string(rest[:4]) == "true" || string(rest[:4]) == "null"):
		return 4
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return 5
	}
	return 0
}
