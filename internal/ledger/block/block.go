// Package block holds the events of one organization column by column: as
// rows being staged from a request, and as the encoded, checksummed body and
// header that the log stores.
//
//	request ─► Builder ─► Rows ─► Encode ─► body ─► Decode ─► Rows
//
//	Rows  row:         0      1      2     ...
//	      IDs          a      b      c            text, one per row
//	      Times        t0     t1     t2           unix nanoseconds
//	      Types        0      0      1            codes into Types.Values
//	      Sources, Subjects, Customers            the same
//	      Columns      one per attribute path: entries (row, kind, code)
//	      Hashes       96-bit keyed hash of (organization, source, id)
//	      Checks       64-bit keyed hash of the content
//
// The encoded form is described byte by byte in docs/format.md.
package block

import (
	"odometer/internal/meter"
)

// Limits of one block. Builder refuses to pass them and Decode refuses a body
// that declares more, so memory is bounded whatever the body says.
const (
	MaxRows       = 1 << 17   // events in a block
	MaxColumns    = 4096      // distinct attribute paths in a block
	maxEntries    = 1 << 23   // attribute values in a block, over all rows
	maxTextBytes  = 256 << 20 // text in a block, over all dictionaries
	maxRequests   = MaxRows   // requests merged into a block
	maxRejections = 1 << 17   // rejected events kept in a block
	MaxRawBytes   = 1024      // kept of a rejected event's text
)

// NoCode in Dict.Codes marks a row without a value.
const NoCode = ^uint32(0)

// Key is the data directory's 128-bit hash key. It is made at random with the
// directory and travels with the log, so that nobody outside can craft ids
// whose hashes collide.
type Key struct{ K0, K1 uint64 }

// Hash is the first 96 bits of SipHash-2-4-128 of an event's identity. Two
// events with equal hashes are taken to have the same identity.
type Hash struct {
	Hi uint64
	Lo uint32
}

// Tags end the hashed messages; a value's kind is part of what is hashed.
const (
	tagText   = 0 // an id, type or subject as text
	tagUUID   = 1 // an id that is a canonical UUID, as its 16 bytes
	tagTime   = 2
	tagKind   = 0x10 // + meter.ValueKind: an attribute's value
	tagDerive = 0x80 // derives the content key from the directory's key
	tagTexts  = 0x81 // derives the key of texts
)

// Identity hashes an event's identity. Every distinct (org, source, id) is a
// distinct message; the text of an id decides, byte by byte.
func (k Key) Identity(org, source, id string) Hash {
	return identityHash(k.identityPrefix([]byte(org), []byte(source)), []byte(id))
}

// identityPrefix absorbs what the events of one source share.
func (k Key) identityPrefix(org, source []byte) sip {
	return newSip128(k).frame(org).frame(source)
}

func identityHash(prefix sip, id []byte) Hash {
	var u [16]byte
	if parseUUID(&u, id) {
		return uuidHash(prefix, &u)
	}
	hi, lo := prefix.sum128(id, tagText)
	return Hash{hi, uint32(lo)}
}

func uuidHash(prefix sip, u *[16]byte) Hash {
	hi, lo := prefix.sum128(u[:], tagUUID)
	return Hash{hi, uint32(lo)}
}

// contentKey derives the key of the content checks, so that they say nothing
// about identities.
func (k Key) contentKey() Key {
	s := newSip128(k)
	k0, k1 := s.sum128(nil, tagDerive)
	return Key{k0, k1}
}

// TextHasher hashes the texts of one organization, under a key of their own.
type TextHasher struct{ prefix sip }

// Texts returns the hasher of an organization's texts.
func (k Key) Texts(org string) TextHasher {
	s := newSip128(k)
	k0, k1 := s.sum128(nil, tagTexts)
	return TextHasher{newSip128(Key{k0, k1}).frame([]byte(org))}
}

// Hash hashes one text. Two texts of equal hashes are taken to be the same, as identities are.
func (h TextHasher) Hash(text []byte) Hash {
	hi, lo := h.prefix.sum128(text, tagText)
	return Hash{hi, uint32(lo)}
}

// contentHasher makes the leaves whose sum (mod 2^64) is an event's content
// check. A sum of keyed hashes does not depend on the order of the members,
// and without the key nobody can aim it.
type contentHasher struct {
	typ, subject, time, data sip
}

func newContentHasher(k Key) contentHasher {
	s := newSip(k.contentKey())
	return contentHasher{
		typ:     s.frame([]byte("type")),
		subject: s.frame([]byte("subject")),
		time:    s.frame([]byte("time")),
		data:    s.frame([]byte("data")),
	}
}

// column returns the state that hashes the values of one attribute path.
func (h *contentHasher) column(path string) sip { return h.data.frame([]byte(path)) }

func textLeaf(prefix sip, kind meter.ValueKind, text []byte) uint64 {
	return prefix.sum64(text, tagKind+byte(kind))
}

func numberLeaf(prefix *sip, q meter.Quantity) uint64 {
	hi, lo := q.Parts()
	return prefix.words64(lo, uint64(hi), tagKind+byte(meter.Number))
}

func timeLeaf(prefix *sip, nanos int64) uint64 {
	return prefix.word64(uint64(nanos), tagTime)
}

// numberLeaves remembers the leaves of the numbers of one attribute that were
// seen last: many attributes have few values.
type numberLeaves [32]struct {
	q    meter.Quantity
	leaf uint64
}

func (n *numberLeaves) leaf(prefix *sip, q meter.Quantity) uint64 {
	_, lo := q.Parts()
	e := &n[lo*0x9e3779b97f4a7c15>>59]
	if e.q != q || e.leaf == 0 {
		e.q, e.leaf = q, numberLeaf(prefix, q)
	}
	return e.leaf
}
