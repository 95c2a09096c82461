package idset

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

const (
	footerBytes   = 128
	footerMagic   = "odoidset"
	formatVersion = 1
	indexBytes    = 8 // per page
)

// footer ends a run file and says what is in it.
type footer struct {
	run      uint64
	entries  uint64
	pages    uint64
	blocks   uint64 // of the filter
	indexSum uint64 // xxHash64 of the index as stored
	blockSum uint64 // xxHash64 of the filter as stored
}

// size returns the length of the file.
func (f *footer) size() uint64 { return f.filterAt() + filterBlockBytes*f.blocks + footerBytes }

func (f *footer) indexAt() uint64  { return pageBytes * f.pages }
func (f *footer) filterAt() uint64 { return f.indexAt() + indexBytes*f.pages }

func (f *footer) encode() []byte {
	b := make([]byte, 0, footerBytes)
	b = append(b, footerMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, pageBytes)
	for _, v := range []uint64{f.run, f.entries, f.pages, f.blocks, f.indexSum, f.blockSum} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = b[:footerBytes]
	binary.LittleEndian.PutUint64(b[footerBytes-8:], xxhash.Sum64(b[:footerBytes-8]))
	return b
}

// footerSum returns the checksum that an encoded footer ends with.
func footerSum(b []byte) uint64 { return binary.LittleEndian.Uint64(b[footerBytes-8:]) }

// decodeFooter reads a footer and checks it against itself.
func decodeFooter(b []byte) (footer, error) {
	var f footer
	if len(b) != footerBytes || string(b[:8]) != footerMagic {
		return f, fmt.Errorf("no run footer")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return f, fmt.Errorf("format version %d, want %d", v, formatVersion)
	}
	if footerSum(b) != xxhash.Sum64(b[:footerBytes-8]) {
		return f, fmt.Errorf("the footer fails its checksum")
	}
	if n := binary.LittleEndian.Uint32(b[12:]); n != pageBytes {
		return f, fmt.Errorf("page size %d, want %d", n, pageBytes)
	}
	for i, p := range []*uint64{&f.run, &f.entries, &f.pages, &f.blocks, &f.indexSum, &f.blockSum} {
		*p = binary.LittleEndian.Uint64(b[16+8*i:])
	}
	const limit = 1 << 40 // of pages and blocks: keeps every size within an int64
	if f.entries == 0 || f.pages == 0 || f.pages > limit || f.pages > f.entries || f.blocks == 0 || f.blocks > limit {
		return f, fmt.Errorf("the footer contradicts itself")
	}
	return f, nil
}
