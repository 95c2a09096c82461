package block

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/meter"
)

// Kind says what a log entry's body holds.
type Kind uint8

// The kinds of log entries.
const (
	KindEvents  Kind = 1 // a body made by Encode
	KindControl Kind = 2 // meter definitions and settings; the ledger's own form
	kindVoid    Kind = 3 // identities no longer counted; the ledger's own form
)

// MaxOrgBytes bounds an organization's id in a header.
const MaxOrgBytes = 255

const (
	headerVersion = 1
	headerFixed   = 71 // bytes up to and including the length of the organization's id
)

// Header describes one log entry. It is small and stored beside the body, so
// that scans skip bodies and a damaged body can say what it affects. Headers
// are chained: Prev is the Sum of the entry before.
type Header struct {
	Sequence         uint64
	Kind             Kind
	Org              string
	Accepted         time.Time // kept to the nanosecond, read back as UTC
	MinTime, MaxTime int64     // event times, unix nanoseconds; 0 and 0 without rows
	Rows             uint32
	Rejected         uint32
	BodyLen          uint32
	BodySum          uint64 // BodySum of the body
	Prev             [16]byte
}

// BodySum is the checksum that a header keeps of its body, whatever its kind.
func BodySum(body []byte) uint64 { return xxhash.Sum64(body) }

// CheckBody tells whether body is the one the header was written for;
// KindCorrupt if not.
func (h Header) CheckBody(body []byte) error {
	if uint32(len(body)) != h.BodyLen || BodySum(body) != h.BodySum {
		return meter.Errorf(meter.KindCorrupt, "the body of entry %d does not match its header", h.Sequence)
	}
	return nil
}

// Append writes the header's stored form after dst. Org must not be longer
// than MaxOrgBytes.
func (h Header) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, headerVersion, byte(h.Kind))
	dst = binary.LittleEndian.AppendUint64(dst, h.Sequence)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Accepted.UnixNano()))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.MinTime))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.MaxTime))
	dst = binary.LittleEndian.AppendUint32(dst, h.Rows)
	dst = binary.LittleEndian.AppendUint32(dst, h.Rejected)
	dst = binary.LittleEndian.AppendUint32(dst, h.BodyLen)
	dst = binary.LittleEndian.AppendUint64(dst, h.BodySum)
	dst = append(dst, h.Prev[:]...)
	dst = append(dst, byte(len(h.Org)))
	dst = append(dst, h.Org...)
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[start:]))
}

// Sum identifies the header and, through Prev and BodySum, everything before it.
func (h Header) Sum() [16]byte {
	full := sha256.Sum256(h.Append(make([]byte, 0, headerFixed+MaxOrgBytes+8)))
	return [16]byte(full[:16])
}

// DecodeHeader reads what Append wrote. KindCorrupt if it is damaged,
// KindUnsupported if it is of a later version.
func DecodeHeader(b []byte) (Header, error) {
	corrupt := func(what string) (Header, error) {
		return Header{}, meter.Errorf(meter.KindCorrupt, "entry header: %s", what)
	}
	if len(b) < headerFixed+8 {
		return corrupt("too short")
	}
	sum := binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxhash.Sum64(b[:len(b)-8]) != sum {
		return corrupt("checksum mismatch")
	}
	if b[0] != headerVersion {
		return Header{}, meter.Errorf(meter.KindUnsupported, "entry header: version %d; this program reads version %d", b[0], headerVersion)
	}
	h := Header{
		Kind:     Kind(b[1]),
		Sequence: binary.LittleEndian.Uint64(b[2:]),
		Accepted: time.Unix(0, int64(binary.LittleEndian.Uint64(b[10:]))).UTC(),
		MinTime:  int64(binary.LittleEndian.Uint64(b[18:])),
		MaxTime:  int64(binary.LittleEndian.Uint64(b[26:])),
		Rows:     binary.LittleEndian.Uint32(b[34:]),
		Rejected: binary.LittleEndian.Uint32(b[38:]),
		BodyLen:  binary.LittleEndian.Uint32(b[42:]),
		BodySum:  binary.LittleEndian.Uint64(b[46:]),
	}
	copy(h.Prev[:], b[54:70])
	if h.Kind < KindEvents || h.Kind > kindVoid {
		return Header{}, meter.Errorf(meter.KindUnsupported, "entry header: unknown kind %d", h.Kind)
	}
	org := b[headerFixed-1 : len(b)-8]
	if len(org) == 0 || int(org[0]) != len(org)-1 {
		return corrupt("wrong length")
	}
	h.Org = string(org[1:])
	return h, nil
}
