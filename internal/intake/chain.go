package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Chain is the hash of a stream from its first byte to the end of one line:
//
//	chain(0) = 32 zero bytes
//	chain(n) = SHA-256(chain(n-1), text of line n, newline)
//
// Equal chains mean equal text up to there. It is a cryptographic hash because
// clients of a web server choose part of the text of its log.
type Chain [sha256.Size]byte

// Next returns the chain after one more line, given without its newline.
func (c Chain) Next(line []byte) Chain {
	h := sha256.New()
	h.Write(c[:])
	h.Write(line)
	h.Write([]byte{'\n'})
	var out Chain
	h.Sum(out[:0])
	return out
}

// MarshalText returns the chain in hexadecimal.
func (c Chain) MarshalText() ([]byte, error) {
	return []byte(hex.EncodeToString(c[:])), nil
}

// UnmarshalText reads what MarshalText wrote.
func (c *Chain) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(c) {
		return fmt.Errorf("a chain has %d hexadecimal digits, not %d", 2*len(c), len(text))
	}
	_, err := hex.Decode(c[:], text)
	return err
}

// Pos is a place between two lines of a stream.
type Pos struct {
	Offset int64 `json:"offset"` // bytes before it, uncompressed
	Line   int64 `json:"line"`   // lines before it
	Chain  Chain `json:"chain"`  // of everything before it
}

// maxOffset is the greatest offset that an id can hold: 256 TiB.
const maxOffset = 1<<48 - 1

// ID returns the id of the record that starts at offset and whose last line
// leaves the chain at end: a version 8 UUID (RFC 9562) of the offset in 48
// bits and the first 74 bits of the chain. It depends on the stream's text up
// to the end of the record and on nothing else, so every copy of a line, under
// whatever name, inode or compression, has the same id.
func ID(offset int64, end Chain) string {
	var u [16]byte
	for i := range 6 {
		u[i] = byte(offset >> (40 - 8*i))
	}
	copy(u[6:], end[:10])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:], u[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// Fork tells a stream from an earlier one that starts with the same lines.
// Those lines are named after the first line that differs as well; all other
// ids stay functions of the text alone, so that losing the state can never
// count a line twice.
type Fork struct {
	Shared int64 `json:"shared"` // lines in common with an earlier stream
	Key    Chain `json:"key"`    // the chain after the first line that differs
}

// name returns the chain that goes into the id of a record that ends with the
// given line of the stream.
func (f *Fork) name(end Pos) Chain {
	if f == nil || end.Line > f.Shared {
		return end.Chain
	}
	h := sha256.New()
	h.Write([]byte("fork\n"))
	h.Write(f.Key[:])
	h.Write(end.Chain[:])
	var out Chain
	h.Sum(out[:0])
	return out
}

// LineageKey names the streams that start with the same first record: 128 bits
// in hexadecimal. end is the position after that record.
func LineageKey(end Pos) string {
	return hex.EncodeToString(end.Chain[:16])
}
