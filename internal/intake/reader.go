package intake

import (
	"errors"
	"fmt"
	"io"
)

// Item is one record as the Reader saw it: an event, or why there is none.
type Item struct {
	Line    int64 // number of the record's first line, from 1
	Start   Pos
	End     Pos
	Event   []byte // in JSON, appended to the slice given to Next; nil if Err is set
	Err     error  // the record is rejected
	Partial bool   // a last record without its newline, taken because of Final
}

// Reader reads the events of one stream.
type Reader struct {
	records *records
	decoder Decoder
	fork    *Fork
	source  string
	closer  io.Closer
	final   bool
	skip    map[int64]bool
	head    []Mark

	// Waiting is set at the end when a last record is left for later.
	Waiting *Waiting
}

// Waiting describes a last record that may not be whole yet.
type Waiting struct {
	Line int64 // number of its first line, from 1
	Open bool  // a quote is open over the end of lines, not only a newline missing
}

// ReadOptions are the settings of a Reader.
type ReadOptions struct {
	Source string // of events that have none: see SourceOf
	Final  bool   // take a last line that has no newline
	// Skip holds the offsets of records to pass over, because their verdict is known.
	Skip map[int64]bool
}

// SourceOf is the source of the events of a file whose first record ends at
// first, when the user has given no name.
func SourceOf(first Pos) string { return "file:" + LineageKey(first) }

// Read opens the file where the plan says. The decoder must have its header.
func (p *Plan) Read(f *File, d Decoder, opt ReadOptions) (*Reader, error) {
	from, err := f.reader(p.Start.Offset)
	if err != nil {
		return nil, err
	}
	r := newReader(newScanner(from, p.Start), d, opt)
	r.fork, r.closer = p.Stream.Fork, from
	if d.HasHeader() && p.Start == (Pos{}) {
		if err := r.passHeader(); err != nil {
			from.Close()
			return nil, err
		}
	}
	return r, nil
}

// ReadStream reads a stream that is no file, such as standard input. It gives
// the decoder its header. The source must be set if the decoder needs one.
func ReadStream(from io.Reader, d Decoder, opt ReadOptions) (*Reader, error) {
	r := newReader(newScanner(from, Pos{}), d, opt)
	if d.HasHeader() {
		record, err := r.records.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err == nil {
			err = record.Err
		}
		if err == nil {
			err = d.Header(record.Text)
		}
		if err != nil {
			return nil, fmt.Errorf("header: %w", err)
		}
	}
	return r, nil
}

func newReader(s *scanner, d Decoder, opt ReadOptions) *Reader {
	r := &Reader{decoder: d, source: opt.Source, final: opt.Final, skip: opt.Skip}
	// Marks are only appended, never moved: slices of Head stay valid.
	r.head = make([]Mark, 0, headLines)
	s.each = func(end Pos) {
		if end.Line <= headLines {
			r.head = append(r.head, markOf(end))
		}
	}
	r.records = newRecords(s, d, opt.Final)
	return r
}

func (r *Reader) passHeader() error {
	_, err := r.records.Next()
	return early(err)
}

// Head returns the marks of the first lines read so far. It is safe to read
// while the Reader goes on.
func (r *Reader) Head() []Mark { return r.head }

// Ready says whether Next has a whole line at hand, so that it need not wait
// for a slow input.
func (r *Reader) Ready() bool { return r.records.ready() }

// Close frees what Read opened.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Next appends the event of the next record to dst, or returns io.EOF. Any
// other error is about the input as a whole.
func (r *Reader) Next(dst []byte) (Item, error) {
	for {
		record, err := r.records.Next()
		if err != nil {
			return Item{}, err
		}
		if record.Partial && !r.final {
			r.Waiting = r.records.waiting(record)
			return Item{}, io.EOF
		}
		if !r.skip[record.Start.Offset] {
			return r.item(dst, record), nil
		}
	}
}

func (r *Reader) item(dst []byte, record Record) Item {
	item := Item{Line: record.Start.Line + 1, Start: record.Start, End: record.End, Partial: record.Partial, Err: record.Err}
	if item.Err == nil && record.Start.Offset > maxOffset {
		item.Err = fmt.Errorf("starts past %d bytes", int64(maxOffset))
	}
	if item.Err != nil {
		return item
	}
	var id Identity
	if r.decoder.Derived() {
		id = Identity{Source: r.source, ID: ID(record.Start.Offset, r.fork.name(record.End))}
	}
	event, err := r.decoder.Append(dst, record.Text, id)
	if err != nil {
		item.Err = err
		return item
	}
	item.Event = event
	return item
}
