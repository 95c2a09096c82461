package block

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/meter"
)

// The versions of a body. In version 1 every row has a time, and there are no
// numbers beyond the limits of a quantity.
const (
	bodyVersion1 = 1
	bodyVersion  = 2
)

// encoder holds the scratch of one call; calls nest, each with its own.
type encoder struct {
	rel   []uint64
	codes []uint8
	ints  []int64
	lens  []int64
	text  []byte
	coded []byte
	uuids []byte
	s2    []byte

	pieces []byte

	alphabet [256]byte
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func getEncoder() *encoder { return encoders.Get().(*encoder) }

// putEncoder keeps scratch for the next call, but for that of a large block.
func putEncoder(e *encoder) {
	if cap(e.text) > 4*largeTexts {
		e.text = nil
	}
	if cap(e.pieces) > 4*largeTexts {
		e.pieces = nil
	}
	encoders.Put(e)
}

// Encode appends the stored form of r to dst. Equal rows give equal bytes;
// Hashes and Checks are not stored, Decode computes them again.
func Encode(dst []byte, r *Rows) []byte {
	start := len(dst)
	dst = append(dst, bodyVersion)
	dst = appendText(dst, r.Org)
	dst = binary.AppendUvarint(dst, uint64(r.N))
	dst = appendRequests(dst, r)
	dst = appendTexts(dst, &r.IDs, r.uuids)
	enc := getEncoder()
	defer putEncoder(enc)
	dst = enc.appendTimes(dst, r)
	dst = appendDict(dst, &r.Types)
	dst = appendDict(dst, &r.Sources)
	dst = appendDict(dst, &r.Subjects)
	if r.ownCustomers {
		dst = appendDict(append(dst, 1), &r.Customers)
	} else {
		dst = append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Columns)))
	for i := range r.Columns {
		dst = enc.appendColumn(dst, &r.Columns[i], r.N)
	}
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[start:]))
}

// Bits of a request's first number, below its rows.
const (
	requestDetailed = 1 << 0
	requestAtomic   = 1 << 1
	requestShift    = 2
)

func appendRequests(dst []byte, r *Rows) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(r.Requests)))
	for i := range r.Requests {
		q := &r.Requests[i]
		word := uint64(q.Rows) << requestShift
		if q.Atomic {
			word |= requestAtomic
		}
		if q.Events == q.Rows && len(q.Rejections) == 0 {
			dst = binary.AppendUvarint(dst, word)
			continue
		}
		dst = binary.AppendUvarint(dst, word|requestDetailed)
		dst = binary.AppendUvarint(dst, uint64(q.Events))
		// Positions of the rows, as gaps from consecutive ones.
		next := uint32(0)
		for _, index := range r.Index[q.First : q.First+q.Rows] {
			dst = binary.AppendUvarint(dst, uint64(index-next))
			next = index + 1
		}
		dst = binary.AppendUvarint(dst, uint64(len(q.Rejections)))
		for j := range q.Rejections {
			x := &q.Rejections[j]
			dst = binary.AppendUvarint(dst, uint64(x.Index))
			dst = appendText(dst, x.ID)
			dst = appendText(dst, x.Source)
			dst = appendText(dst, x.Reason)
			dst = appendText(dst, x.Raw)
		}
	}
	return dst
}

// Forms of the times.
const (
	timesAll  = 0
	timesSome = 1 // a bitmap of the rows that were sent without one, then those of the others
)

func (e *encoder) appendTimes(dst []byte, r *Rows) []byte {
	if len(r.untimed) == 0 {
		e.ints = append(e.ints[:0], r.Times...)
		return appendInts(append(dst, timesAll), e.ints)
	}
	dst = appendBitmap(append(dst, timesSome), r.untimed, r.N)
	times := make([]int64, 0, r.N)
	next := 0
	for i, t := range r.Times {
		if next < len(r.untimed) && int(r.untimed[next]) == i {
			next++
			continue
		}
		times = append(times, t)
	}
	return appendInts(dst, times)
}

func appendBitmap(dst []byte, rows []uint32, n int) []byte {
	at := len(dst)
	size := packedLen(n, 1)
	dst = slices.Grow(dst, size)[:at+size]
	clear(dst[at:])
	for _, row := range rows {
		dst[at+int(row>>3)] |= 1 << (row & 7)
	}
	return dst
}

// Forms of a list of codes.
const (
	codesPacked     = 0
	codesPackedNone = 1 // NoCode occurs, as one more code after the last
	codesSequential = 2 // 0, 1, 2, ...
)

func appendDict(dst []byte, d *Dict) []byte {
	n := d.Values.Len()
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = appendTexts(dst, &d.Values, nil)
	return appendCodes(dst, d.Codes, n)
}

func appendCodes(dst []byte, codes []uint32, n int) []byte {
	sequential, none := n > 1, false
	for i, c := range codes {
		sequential = sequential && c == uint32(i)
		none = none || c == NoCode
	}
	switch {
	case sequential:
		return append(dst, codesSequential)
	case none:
		dst = append(dst, codesPackedNone)
		shifted := make([]uint32, len(codes))
		for i, c := range codes {
			shifted[i] = min(c, uint32(n))
		}
		return appendBits(dst, shifted, bitsFor(n+1))
	default:
		return appendBits(append(dst, codesPacked), codes, bitsFor(n))
	}
}

// Forms of a column's rows.
const (
	rowsAll    = 0
	rowsBitmap = 1
	rowsList   = 2
)

func (e *encoder) appendColumn(dst []byte, c *Column, n int) []byte {
	dst = appendText(dst, c.Path)
	dst = appendRowSet(dst, c, n)
	var count [meter.Excess + 1]int
	for _, k := range c.kinds {
		count[k]++
	}
	if kind := c.kinds[0]; count[kind] == len(c.kinds) {
		dst = append(dst, byte(kind))
	} else {
		dst = append(dst, 0)
		kinds := make([]uint8, len(c.kinds))
		for i, k := range c.kinds {
			kinds[i] = uint8(k)
		}
		dst = appendBits(dst, kinds, kindBits)
	}
	if texts := count[meter.String] + count[meter.JSON] + count[meter.Excess]; texts > 0 {
		codes := c.codes
		if texts < len(codes) {
			codes = make([]uint32, 0, texts)
			for i, k := range c.kinds {
				if k >= meter.String {
					codes = append(codes, c.codes[i])
				}
			}
		}
		dst = binary.AppendUvarint(dst, uint64(c.Strs.Len()))
		dst = appendTexts(dst, &c.Strs, nil)
		dst = appendCodes(dst, codes, c.Strs.Len())
	}
	if count[meter.Number] > 0 {
		dst = e.appendNumbers(dst, c.Nums)
	}
	return dst
}

// kindBits is the width of a kind where a column has several.
const kindBits = 3

func appendRowSet(dst []byte, c *Column, n int) []byte {
	width := bitsFor(n)
	switch {
	case c.rows == nil:
		return append(dst, rowsAll)
	case packedLen(len(c.rows), width) < packedLen(n, 1):
		dst = binary.AppendUvarint(append(dst, rowsList), uint64(len(c.rows)))
		return appendBits(dst, c.rows, width)
	default:
		return appendBitmap(append(dst, rowsBitmap), c.rows, n)
	}
}

// numbersExact marks quantities stored as 16 bytes each instead of integers
// of some number of decimal places.
const numbersExact = 0xff

var powers10 = [meter.MaxFractionDigits + 1]uint64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000,
	100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 1_000_000_000_000}

// appendNumbers stores quantities as integers of the fewest decimal places
// that hold them all, or exactly if 64 bits do not.
func (e *encoder) appendNumbers(dst []byte, nums []meter.Quantity) []byte {
	places := 0
	v := slices.Grow(e.ints[:0], len(nums))[:len(nums)]
	e.ints = v
	for i := 0; i < len(nums); i++ {
		x, fits := scaled(nums[i], powers10[meter.MaxFractionDigits-places])
		if fits {
			v[i] = x
			continue
		}
		if places == meter.MaxFractionDigits {
			return appendExact(append(dst, numbersExact), nums)
		}
		places++
		i = -1 // once more, with one more place: at most 12 times
	}
	return appendInts(append(dst, byte(places)), v)
}

func appendExact(dst []byte, nums []meter.Quantity) []byte {
	for _, q := range nums {
		hi, lo := q.Parts()
		dst = binary.LittleEndian.AppendUint64(dst, lo)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(hi))
	}
	return dst
}

// scaled returns the quantity's 10^-12ths divided by d, if that is an int64.
func scaled(q meter.Quantity, d uint64) (v int64, fits bool) {
	high, lo := q.Parts()
	hi := uint64(high)
	negative := high < 0
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	var quo, rem uint64
	switch {
	case hi == 0 && d == 1_000_000_000_000: // a small integer
		quo, rem = lo/1_000_000_000_000, lo%1_000_000_000_000
	case hi < d:
		quo, rem = bits.Div64(hi, lo, d)
	default:
		return 0, false
	}
	if rem != 0 || quo > 1<<63-1 {
		return 0, false
	}
	if negative {
		return -int64(quo), true
	}
	return int64(quo), true
}

// unscaled is the inverse of scaled.
func unscaled(v int64, d uint64) meter.Quantity {
	u := uint64(v)
	if v < 0 {
		u = -u
	}
	hi, lo := bits.Mul64(u, d)
	if v < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return meter.QuantityFromParts(int64(hi), lo)
}
