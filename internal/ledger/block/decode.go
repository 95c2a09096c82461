package block

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"odometer/internal/meter"
)

// tailBytes is the checksum at the end of a body. The packed lists before it
// rely on it: they are read 8 bytes at a time.
const tailBytes = 8

// Decode reads a body made by Encode; hashes says whether Hashes and Checks
// are wanted too. Accepted is when the block was accepted, unix nanoseconds: the
// time of the events that were sent without one. It fails with KindCorrupt on any damage and KindUnsupported
// on a later version, never panics, and allocates no more than the limits of
// a block allow. The rows do not alias body.
func Decode(body []byte, key Key, hashes bool, accepted int64) (*Rows, error) {
	if len(body) < 1+tailBytes {
		return nil, meter.Errorf(meter.KindCorrupt, "block body: too short")
	}
	end := len(body) - tailBytes
	if xxhash.Sum64(body[:end]) != binary.LittleEndian.Uint64(body[end:]) {
		return nil, meter.Errorf(meter.KindCorrupt, "block body: checksum mismatch")
	}
	if body[0] != bodyVersion && body[0] != bodyVersion1 {
		return nil, meter.Errorf(meter.KindUnsupported, "block body: version %d; this program reads versions %d and %d", body[0], bodyVersion1, bodyVersion)
	}
	r := &reader{b: body, at: 1, end: end, version: body[0]}
	rows := r.rows()
	if r.err == nil && r.at != r.end {
		r.fail("end")
	}
	if r.err != nil {
		return nil, r.err
	}
	if hashes {
		rows.hash(key)
	}
	rows.SetAccepted(accepted)
	return rows, nil
}

func (r *reader) rows() *Rows {
	rows := &Rows{Org: r.string(), N: r.count(MaxRows, "number of rows")}
	r.requests(rows)
	if r.err != nil {
		return nil
	}
	rows.IDs, rows.uuids = r.texts(rows.N)
	r.times(rows)
	rows.Types = r.dict(rows.N, false)
	rows.Sources = r.dict(rows.N, false)
	rows.Subjects = r.dict(rows.N, true)
	switch r.byte() {
	case 0:
		if r.err == nil {
			rows.deriveCustomers()
		}
	case 1:
		rows.ownCustomers = true
		rows.Customers = r.dict(rows.N, false)
	default:
		r.fail("form of customers")
	}
	n := r.count(MaxColumns, "number of columns")
	for i := 0; i < n && r.err == nil; i++ {
		if rows.Columns == nil {
			rows.Columns = make([]Column, 0, n)
		}
		rows.Columns = append(rows.Columns, r.column(rows.N))
	}
	return rows
}

// times reads the times of the rows, and which have none.
func (r *reader) times(rows *Rows) {
	rows.Times = make([]int64, rows.N)
	form := byte(timesAll)
	if r.version != bodyVersion1 {
		form = r.byte()
	}
	switch form {
	case timesAll:
		r.ints(rows.Times)
	case timesSome:
		rows.untimed = r.bitmap(rows.N)
		sent := make([]int64, rows.N-len(rows.untimed))
		r.ints(sent)
		next, at := 0, 0
		for i := range rows.Times {
			if next < len(rows.untimed) && int(rows.untimed[next]) == i {
				next++
				continue
			}
			rows.Times[i] = sent[at]
			at++
		}
	default:
		r.fail("form of times")
	}
}

// bitmap reads a bitmap of n bits as the numbers of those that are set.
func (r *reader) bitmap(n int) []uint32 {
	b := r.take(packedLen(n, 1))
	count := 0
	for _, x := range b {
		count += bits.OnesCount8(x)
	}
	set := make([]uint32, 0, count)
	for i, x := range b {
		for ; x != 0; x &= x - 1 {
			set = append(set, uint32(8*i+bits.TrailingZeros8(x)))
		}
	}
	if count > 0 && int(set[count-1]) >= n {
		r.fail("bitmap")
		return nil
	}
	return set
}

func (r *reader) requests(rows *Rows) {
	n := r.count(maxRequests, "number of requests")
	if n > r.end-r.at { // a request takes at least a byte
		r.fail("number of requests")
		return
	}
	rows.Requests = make([]Request, n)
	rows.Index = make([]uint32, rows.N)
	first, rejections := 0, 0
	for i := range rows.Requests {
		q := &rows.Requests[i]
		word := r.uvarint()
		count := word >> requestShift
		if count > uint64(rows.N-first) {
			r.fail("rows of a request")
			return
		}
		*q = Request{First: uint32(first), Rows: uint32(count), Events: uint32(count), Atomic: word&requestAtomic != 0}
		index := rows.Index[first : first+int(count)]
		first += int(count)
		if word&requestDetailed == 0 {
			for j := range index {
				index[j] = uint32(j)
			}
			continue
		}
		q.Events = uint32(r.count(MaxRows+maxRejections, "events of a request"))
		next := uint64(0)
		for j := range index {
			next += r.uvarint()
			index[j] = uint32(next)
			next++
			if next > uint64(q.Events) {
				r.fail("position of an event")
				return
			}
		}
		if q.Events < q.Rows {
			r.fail("events of a request")
		}
		kept := r.count(int(q.Events-q.Rows), "number of rejections")
		if rejections += kept; rejections > maxRejections {
			r.fail("number of rejections")
		}
		for j := 0; j < kept && r.err == nil; j++ {
			q.Rejections = append(q.Rejections, r.rejection())
		}
		if r.err != nil {
			return
		}
	}
	if first != rows.N {
		r.fail("rows of the requests")
	}
}

func (r *reader) rejection() Rejection {
	return Rejection{
		Index:  uint32(r.count(MaxRows+maxRejections, "position of a rejection")),
		ID:     r.string(),
		Source: r.string(),
		Reason: r.string(),
		Raw:    append([]byte(nil), r.text()...),
	}
}

// dict reads one code per row; optional says whether rows may have none.
func (r *reader) dict(n int, optional bool) (d Dict) {
	values := r.count(n, "number of texts")
	d.Values, _ = r.texts(values)
	if r.err == nil {
		d.Codes = r.codeList(n, values, optional)
	}
	return d
}

// codeList reads count codes into n values.
func (r *reader) codeList(count, n int, optional bool) []uint32 {
	codes := make([]uint32, count)
	switch form := r.byte(); {
	case form == codesPacked:
		r.codes(codes, bitsFor(n), n)
	case form == codesPackedNone && optional:
		r.codes(codes, bitsFor(n+1), n+1)
		for i, c := range codes {
			if c == uint32(n) {
				codes[i] = NoCode
			}
		}
	case form == codesSequential && count <= n:
		for i := range codes {
			codes[i] = uint32(i)
		}
	default:
		r.fail("form of codes")
	}
	return codes
}

func (r *reader) column(n int) (c Column) {
	c.Path = r.string()
	count := r.rowSet(&c, n)
	if r.entries += count; count == 0 || r.entries > maxEntries {
		r.fail("number of entries")
		return c
	}
	c.kinds = make([]meter.ValueKind, count)
	c.codes = make([]uint32, count)
	texts, numbers, excess := r.kinds(c.kinds)
	if texts > 0 {
		values := r.count(texts, "number of texts")
		c.Strs, _ = r.texts(values)
		if r.err != nil {
			return c
		}
		codes := r.codeList(texts, values, false)
		if texts == count {
			c.codes = codes
		} else {
			at := 0
			for i, k := range c.kinds {
				if k >= meter.String {
					c.codes[i] = codes[at]
					at++
				}
			}
		}
	}
	for i := 0; excess && r.err == nil && i < count; i++ {
		if c.kinds[i] == meter.Excess && !meter.ValidExcess(c.Strs.At(int(c.codes[i]))) {
			r.fail("number beyond the limits")
			return c
		}
	}
	if numbers > 0 {
		c.Nums = r.numbers(numbers)
		next := uint32(0)
		for i, k := range c.kinds {
			if k == meter.Number {
				c.codes[i] = next
				next++
			}
		}
	}
	return c
}

// rowSet reads which rows have an entry and returns their number.
func (r *reader) rowSet(c *Column, n int) int {
	switch r.byte() {
	case rowsAll:
		return n
	case rowsBitmap:
		c.rows = r.bitmap(n)
		return len(c.rows)
	case rowsList:
		count := r.count(n, "number of entries")
		c.rows = make([]uint32, count)
		r.codes(c.rows, bitsFor(n), n)
		for i := 1; i < count; i++ {
			if c.rows[i] <= c.rows[i-1] {
				r.fail("order of entries")
				break
			}
		}
		return count
	default:
		r.fail("form of entries")
		return 0
	}
}

// kinds reads the kinds of a column's entries and counts texts and numbers.
func (r *reader) kinds(dst []meter.ValueKind) (texts, numbers int, excess bool) {
	last := meter.Excess
	if r.version == bodyVersion1 {
		last = meter.JSON
	}
	kind := meter.ValueKind(r.byte())
	if kind > last {
		r.fail("kind")
		return 0, 0, false
	}
	if kind != 0 {
		for i := range dst {
			dst[i] = kind
		}
		switch {
		case kind >= meter.String:
			return len(dst), 0, kind == meter.Excess
		case kind == meter.Number:
			return 0, len(dst), false
		}
		return 0, 0, false
	}
	b := r.bits(len(dst), kindBits)
	if b == nil {
		return 0, 0, false
	}
	for i := range dst {
		k := meter.ValueKind(bitsAt(b, i, kindBits))
		dst[i] = k
		switch {
		case k == meter.Absent || k > last:
			r.fail("kind")
			return 0, 0, false
		case k >= meter.String:
			texts++
			excess = excess || k == meter.Excess
		case k == meter.Number:
			numbers++
		}
	}
	return texts, numbers, excess
}

func (r *reader) numbers(n int) []meter.Quantity {
	places := r.byte()
	nums := make([]meter.Quantity, n)
	if places == numbersExact {
		b := r.take(16 * n)
		for i := 0; 16*i < len(b); i++ {
			lo := binary.LittleEndian.Uint64(b[16*i:])
			hi := binary.LittleEndian.Uint64(b[16*i+8:])
			nums[i] = meter.QuantityFromParts(int64(hi), lo)
		}
	} else if places > meter.MaxFractionDigits {
		r.fail("decimal places")
	} else {
		v := make([]int64, n)
		r.ints(v)
		d := powers10[meter.MaxFractionDigits-places]
		for i, x := range v {
			nums[i] = unscaled(x, d)
		}
	}
	for _, q := range nums {
		if !q.Valid() {
			r.fail("quantity")
			break
		}
	}
	return nums
}
