package block

import (
	"slices"
	"sort"
	"time"

	"odometer/internal/meter"
)

// Strings is a list of texts in one buffer. Texts returned by At alias it.
type Strings struct {
	buf  []byte
	ends []uint32
}

// Len returns the number of texts.
func (s *Strings) Len() int { return len(s.ends) }

// Bytes returns the length of all texts together.
func (s *Strings) Bytes() int { return len(s.buf) }

// At returns text i; it must not be changed or kept beyond the Rows.
func (s *Strings) At(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = s.ends[i-1]
	}
	end := s.ends[i]
	return s.buf[start:end:end]
}

// Append adds a copy of b.
func (s *Strings) Append(b []byte) {
	s.buf = append(s.buf, b...)
	s.ends = append(s.ends, uint32(len(s.buf)))
}

func (s *Strings) truncate(n int) {
	if n == 0 {
		s.buf, s.ends = s.buf[:0], s.ends[:0]
		return
	}
	s.ends = s.ends[:n]
	s.buf = s.buf[:s.ends[n-1]]
}

// Dict is one value per row, coded: Values.At(Codes[row]) is the row's text,
// NoCode means it has none. Distinct codes are distinct texts.
type Dict struct {
	Codes  []uint32
	Values Strings
}

// At returns the text of a row; ok is false when it has none.
func (d *Dict) At(row int) (text []byte, ok bool) {
	c := d.Codes[row]
	if c == NoCode {
		return nil, false
	}
	return d.Values.At(int(c)), true
}

// Column holds the values of one attribute path. It has one entry per row
// that has the attribute, in order of rows; rows without it have no entry.
type Column struct {
	// Path is the attribute's keys joined with meter.PathSeparator.
	Path string
	// Strs are the distinct texts of the entries of kind String, JSON and Excess.
	Strs Strings
	// Nums are the values of the entries of kind Number, one each.
	Nums []meter.Quantity

	rows  []uint32 // nil when every row has an entry
	kinds []meter.ValueKind
	codes []uint32
}

// Len returns the number of entries.
func (c *Column) Len() int { return len(c.kinds) }

// Full reports whether every row has an entry; entry e is then row e.
func (c *Column) Full() bool { return c.rows == nil }

// Entry returns entry e: its row, its kind (never Absent), and its code: an
// index into Strs for String, JSON and Excess, into Nums for Number, else 0.
func (c *Column) Entry(e int) (row int, kind meter.ValueKind, code uint32) {
	row = e
	if c.rows != nil {
		row = int(c.rows[e])
	}
	return row, c.kinds[e], c.codes[e]
}

// Find returns the kind and code of a row's entry, Absent if it has none.
func (c *Column) Find(row int) (kind meter.ValueKind, code uint32) {
	e := row
	if c.rows != nil {
		var ok bool
		if e, ok = slices.BinarySearch(c.rows, uint32(row)); !ok {
			return meter.Absent, 0
		}
	}
	return c.kinds[e], c.codes[e]
}

// Value returns a row's value, of kind Absent if it has none.
func (c *Column) Value(row int) meter.Value {
	kind, code := c.Find(row)
	switch kind {
	case meter.String, meter.JSON, meter.Excess:
		return meter.Value{Kind: kind, Str: string(c.Strs.At(int(code)))}
	case meter.Number:
		return meter.Value{Kind: kind, Num: c.Nums[code]}
	default:
		return meter.Value{Kind: kind}
	}
}

// Request is one request whose events are in the block.
type Request struct {
	First      uint32 // its first row
	Rows       uint32 // its rows, consecutive from First
	Events     uint32 // events sent, rejected ones included
	Atomic     bool   // all or none count
	Rejections []Rejection
}

// Rejected returns how many of the request's events could not be read.
func (q *Request) Rejected() int { return int(q.Events - q.Rows) }

// Rejection is an event that could not be staged.
type Rejection struct {
	Index  uint32 // position in its request
	ID     string // "" when it could not be read
	Source string // "" when it could not be read
	Reason string
	Raw    []byte // the first MaxRawBytes of what was sent
}

// Rows are the events of one organization, column by column. Slices are
// indexed by row. Whoever receives Rows reads them only.
type Rows struct {
	Org       string
	N         int
	IDs       Strings
	Index     []uint32 // position in its request, rejected events counted
	Times     []int64  // unix nanoseconds; of a row sent without one, see SetAccepted
	Types     Dict
	Sources   Dict
	Subjects  Dict // NoCode for an event without subject
	Customers Dict // resolved at ingest; "" for none, never NoCode
	Columns   []Column
	Hashes    []Hash   // of the identities
	Checks    []uint64 // of the contents; equal contents, equal checks
	Requests  []Request

	untimed      []uint32 // rows that were sent without a time, ascending
	uuids        []byte   // the ids as 16 bytes each, if all of them are canonical UUIDs
	ownCustomers bool     // the customers are not simply the subjects
}

// Untimed reports whether a row was sent without a time.
func (r *Rows) Untimed(row int) bool {
	if len(r.untimed) == 0 {
		return false
	}
	_, found := slices.BinarySearch(r.untimed, uint32(row))
	return found
}

// SetAccepted gives the rows that were sent without a time the one at which
// their block was accepted, unix nanoseconds.
func (r *Rows) SetAccepted(nanos int64) {
	for _, row := range r.untimed {
		r.Times[row] = nanos
	}
}

// deriveCustomers makes the customers out of the subjects: "" for none.
func (r *Rows) deriveCustomers() {
	r.Customers = r.Subjects
	if !slices.Contains(r.Subjects.Codes, NoCode) {
		return
	}
	values := &r.Customers.Values
	none := uint32(values.Len())
	for i := range values.Len() {
		if len(values.At(i)) == 0 {
			none = uint32(i)
		}
	}
	if int(none) == values.Len() {
		values.Append(nil)
	}
	r.Customers.Codes = slices.Clone(r.Subjects.Codes)
	for i, c := range r.Customers.Codes {
		if c == NoCode {
			r.Customers.Codes[i] = none
		}
	}
}

// column returns the column of an attribute path, nil if no row has it.
func (r *Rows) column(path string) *Column {
	for i := range r.Columns {
		if r.Columns[i].Path == path {
			return &r.Columns[i]
		}
	}
	return nil
}

// TimeRange returns the least and greatest event time, 0 and 0 without rows.
func (r *Rows) TimeRange() (first, last int64) {
	if r.N == 0 {
		return 0, 0
	}
	return slices.Min(r.Times), slices.Max(r.Times)
}

// Rejected returns how many events of all requests could not be read.
func (r *Rows) Rejected() int {
	n := 0
	for i := range r.Requests {
		n += r.Requests[i].Rejected()
	}
	return n
}

// Request returns the request that holds a row.
func (r *Rows) Request(row int) *Request { return &r.Requests[r.RequestOf(row)] }

// RequestOf returns the index of the request that holds a row.
func (r *Rows) RequestOf(row int) int {
	i := sort.Search(len(r.Requests), func(i int) bool { return int(r.Requests[i].First) > row })
	// Requests without rows share First with their successor, so the last one
	// that starts at or before the row is the one that has it.
	return i - 1
}

// Event returns a copy of one row.
func (r *Rows) Event(i int) meter.Event {
	e := meter.Event{
		Identity: meter.Identity{Source: string(r.Sources.Values.At(int(r.Sources.Codes[i]))), ID: string(r.IDs.At(i))},
		Type:     string(r.Types.Values.At(int(r.Types.Codes[i]))),
		Customer: string(r.Customers.Values.At(int(r.Customers.Codes[i]))),
		Time:     time.Unix(0, r.Times[i]).UTC(),
		Untimed:  r.Untimed(i),
	}
	if s, ok := r.Subjects.At(i); ok {
		e.Subject, e.HasSubject = string(s), true
	}
	for c := range r.Columns {
		if v := r.Columns[c].Value(i); v.Kind != meter.Absent {
			e.Data = append(e.Data, meter.Attribute{Path: r.Columns[c].Path, Value: v})
		}
	}
	return e
}
