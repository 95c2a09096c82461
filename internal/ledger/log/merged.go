package log

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"odometer/internal/ledger/block"
	"odometer/internal/meter"
)

// Merged blocks: what cold small entries of the log are rewritten into. A run
// is a range of sequences without gaps:
//
//	'x' last:8 'h'        -> the headers of all entries of the run
//	'x' last:8 'b' org:2  -> the bodies of one organization's small entries: the merged block
//
// Both give back the original bytes, headers and chain included; both have a
// checksum of their own. The bodies of large entries stay where they are. See
// docs/format-log.md.

const (
	logMergedPrefix = 'x'
	mergedVersion   = 1

	// Bounds of a run, so that one flipped bit or a hostile length cannot
	// make a reader allocate without end.
	maxRunEntries = 1 << 14
	maxRunBytes   = 8 << 20  // small bodies
	maxSmallBytes = 32 << 10 // one small body
)

// runEntry is one entry of a run.
type runEntry struct {
	org      int    // index in run.orgs
	apart    bool   // the body is not in a merged block
	summed   bool   // the body ends with its own checksum, which is not stored
	offset   uint32 // of the body in its merged block, without the checksum
	header   []byte // as it was appended
	bodySize uint32
}

// stored returns how many bytes of the body are in the merged block.
func (e *runEntry) stored() uint32 {
	if e.summed {
		return e.bodySize - 8
	}
	return e.bodySize
}

// run is a decoded run.
type run struct {
	first   uint64
	orgs    []string
	entries []runEntry
	sizes   []uint32 // bytes of each organization's merged block when decompressed

	mu     sync.Mutex // over a read of the store; nothing else is taken under it
	bodies [][]byte   // by organization, nil until read
}

func (r *run) last() uint64 { return r.first + uint64(len(r.entries)) - 1 }

func (r *run) holds(seq uint64) bool { return seq >= r.first && seq <= r.last() }

var (
	runEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false))
		return e
	})
	runDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(2*maxRunBytes))
		return d
	})
)

func mergedHeadersKey(last uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{logMergedPrefix}, last), logHeader)
}

func mergedBodiesKey(last uint64, org int) []byte {
	return binary.BigEndian.AppendUint16(append(binary.BigEndian.AppendUint64([]byte{logMergedPrefix}, last), logBody), uint16(org))
}

func corruptRun(what string) error {
	return meter.Errorf(meter.KindCorrupt, "the headers of a merged block are damaged: %s", what)
}

// encodeHeaders writes the run's headers. They must form a chain.
func (r *run) encodeHeaders() ([]byte, error) {
	out := []byte{mergedVersion}
	out = binary.AppendUvarint(out, r.first)
	out = binary.AppendUvarint(out, uint64(len(r.entries)))
	out = binary.AppendUvarint(out, uint64(len(r.orgs)))
	for _, o := range r.orgs {
		out = append(binary.AppendUvarint(out, uint64(len(o))), o...)
	}
	var kinds, orgs, times, counts, sums []byte
	var before block.Header
	for i := range r.entries {
		e := &r.entries[i]
		h, err := block.DecodeHeader(e.header)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			out = append(out, h.Prev[:]...)
		} else if h.Prev != before.Sum() {
			return nil, corruptRun("the chain is broken")
		}
		kinds = append(kinds, byte(h.Kind)|bitIf(e.apart, 0x40)|bitIf(e.summed, 0x80))
		orgs = binary.AppendUvarint(orgs, uint64(e.org))
		times = binary.AppendVarint(times, h.Accepted.UnixNano()-acceptedNanos(&before, i))
		times = binary.AppendVarint(times, h.MinTime-before.MinTime)
		times = binary.AppendUvarint(times, uint64(h.MaxTime-h.MinTime))
		counts = binary.AppendUvarint(counts, uint64(h.Rows))
		counts = binary.AppendUvarint(counts, uint64(h.Rejected))
		counts = binary.AppendUvarint(counts, uint64(h.BodyLen))
		sums = binary.LittleEndian.AppendUint64(sums, h.BodySum)
		before = h
	}
	payload := slices.Concat(kinds, orgs, times, counts, sums)
	out = binary.AppendUvarint(out, uint64(len(payload)))
	out = runEncoder().EncodeAll(payload, out)
	return binary.LittleEndian.AppendUint64(out, xxhash.Sum64(out)), nil
}

func bitIf(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// acceptedNanos is the acceptance time of the entry before entry i.
func acceptedNanos(before *block.Header, i int) int64 {
	if i == 0 {
		return 0
	}
	return before.Accepted.UnixNano()
}

// decodeHeaders reads a run. It never panics, whatever the bytes.
func decodeHeaders(b []byte) (*run, error) {
	if len(b) < 10 || b[0] != mergedVersion {
		return nil, corruptRun("unknown version")
	}
	if xxhash.Sum64(b[:len(b)-8]) != binary.LittleEndian.Uint64(b[len(b)-8:]) {
		return nil, corruptRun("checksum mismatch")
	}
	d := runReader{b: b[1 : len(b)-8]}
	r := &run{first: d.uvarint(math.MaxUint64)}
	n, orgs := int(d.uvarint(maxRunEntries)), int(d.uvarint(maxRunEntries))
	if d.bad || n == 0 || r.first == 0 || r.first > math.MaxUint64-maxRunEntries {
		return nil, corruptRun("bad counts")
	}
	for range orgs {
		r.orgs = append(r.orgs, string(d.bytes(d.uvarint(block.MaxOrgBytes))))
	}
	var prev [16]byte
	copy(prev[:], d.bytes(16))
	size := d.uvarint(uint64(n) * maxEntryBytes)
	if d.bad {
		return nil, corruptRun("cut short")
	}
	payload, err := runDecoder().DecodeAll(d.b, make([]byte, 0, size))
	if err != nil || uint64(len(payload)) != size || n > len(payload) {
		return nil, corruptRun("bad columns")
	}
	if err := r.takeEntries(payload, n, prev); err != nil {
		return nil, err
	}
	return r, nil
}

// maxEntryBytes is the most that one entry takes in the columns.
const maxEntryBytes = 1 + 3 + 3*binary.MaxVarintLen64 + 3*binary.MaxVarintLen32 + 8

// takeEntries rebuilds the headers from their columns.
func (r *run) takeEntries(payload []byte, n int, prev [16]byte) error {
	d := runReader{b: payload}
	kinds := d.bytes(uint64(n))
	r.entries = make([]runEntry, n)
	for i := range r.entries {
		r.entries[i].org = int(d.uvarint(uint64(max(len(r.orgs), 1) - 1)))
	}
	headers := make([]block.Header, n)
	var accepted, least int64
	for i := range headers {
		accepted += d.varint()
		least += d.varint()
		headers[i].Accepted, headers[i].MinTime = time.Unix(0, accepted), least
		headers[i].MaxTime = least + int64(d.uvarint(math.MaxUint64))
	}
	for i := range headers {
		headers[i].Rows, headers[i].Rejected = uint32(d.uvarint(math.MaxUint32)), uint32(d.uvarint(math.MaxUint32))
		headers[i].BodyLen = uint32(d.uvarint(math.MaxUint32))
	}
	sums := d.bytes(8 * uint64(n))
	if d.bad || len(d.b) != 0 || len(r.orgs) == 0 {
		return corruptRun("bad columns")
	}
	r.sizes = make([]uint32, len(r.orgs))
	r.bodies = make([][]byte, len(r.orgs))
	for i := range headers {
		e, h := &r.entries[i], &headers[i]
		h.Sequence, h.Kind, h.Org, h.Prev = r.first+uint64(i), block.Kind(kinds[i]&0x3f), r.orgs[e.org], prev
		h.BodySum = binary.LittleEndian.Uint64(sums[8*i:])
		e.apart, e.summed, e.bodySize = kinds[i]&0x40 != 0, kinds[i]&0x80 != 0, h.BodyLen
		if e.summed && h.BodyLen < 8 || !e.apart && h.BodyLen > maxSmallBytes {
			return corruptRun("bad length of a body")
		}
		if !e.apart {
			e.offset = r.sizes[e.org]
			r.sizes[e.org] += e.stored()
		}
		e.header = h.Append(nil)
		prev = h.Sum()
	}
	if slices.ContainsFunc(r.sizes, func(n uint32) bool { return n > maxRunBytes }) {
		return corruptRun("too many bytes")
	}
	return nil
}

// encodeBodies writes the merged block of one organization: bodies joined
// without the checksums that their entries say are left out.
func encodeBodies(last uint64, org int, joined []byte) []byte {
	out := []byte{mergedVersion}
	out = binary.AppendUvarint(out, last)
	out = binary.AppendUvarint(out, uint64(org))
	out = runEncoder().EncodeAll(joined, out)
	return binary.LittleEndian.AppendUint64(out, xxhash.Sum64(out))
}

// decodeBodies reads what encodeBodies wrote; the run says how much that is.
func (r *run) decodeBodies(b []byte, org int) ([]byte, error) {
	damaged := func(what string) error {
		return meter.Errorf(meter.KindCorrupt, "the merged block of organization %s with blocks %s is damaged: %s", r.orgs[org], r.partsOf(org), what)
	}
	if len(b) < 11 || b[0] != mergedVersion {
		return nil, damaged("unknown version")
	}
	if xxhash.Sum64(b[:len(b)-8]) != binary.LittleEndian.Uint64(b[len(b)-8:]) {
		return nil, damaged("checksum mismatch")
	}
	d := runReader{b: b[1 : len(b)-8]}
	if d.uvarint(math.MaxUint64) != r.last() || d.uvarint(math.MaxUint16) != uint64(org) || d.bad {
		return nil, damaged("it belongs elsewhere")
	}
	joined, err := runDecoder().DecodeAll(d.b, make([]byte, 0, r.sizes[org]))
	if err != nil || len(joined) != int(r.sizes[org]) {
		return nil, damaged("bad content")
	}
	return joined, nil
}

// partsOf names the sequences whose bodies are in an organization's merged block, as ranges.
func (r *run) partsOf(org int) string {
	var parts []string
	for i := 0; i < len(r.entries); {
		j := i
		for j < len(r.entries) && r.entries[j].org == org && !r.entries[j].apart {
			j++
		}
		switch {
		case j == i+1:
			parts = append(parts, strconv.FormatUint(r.first+uint64(i), 10))
		case j > i:
			parts = append(parts, fmt.Sprintf("%d-%d", r.first+uint64(i), r.first+uint64(j)-1))
		}
		i = max(j, i+1)
	}
	return strings.Join(parts, ", ")
}

// body cuts one body out of its merged block.
func (r *run) body(e *runEntry, joined []byte) []byte {
	out := make([]byte, e.stored(), e.bodySize)
	copy(out, joined[e.offset:])
	if e.summed {
		out = binary.LittleEndian.AppendUint64(out, xxhash.Sum64(out))
	}
	return out
}

// endsWithSum says whether a body ends with the checksum of the rest, as
// blocks of events do.
func endsWithSum(body []byte) bool {
	n := len(body) - 8
	return n >= 0 && bytes.Equal(body[n:], binary.LittleEndian.AppendUint64(nil, xxhash.Sum64(body[:n])))
}

// runReader reads from the front of b; bad is set once something does not fit.
type runReader struct {
	b   []byte
	bad bool
}

func (d *runReader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *runReader) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *runReader) bytes(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}
