package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Record is one record of a stream: a line, or several where CSV has a newline
// in quotes.
type Record struct {
	Text    []byte // without the last newline; valid until the next call of Next
	Start   Pos
	End     Pos
	Partial bool  // it may not be whole yet: no newline, or no closing quote, before the end of input
	Err     error // it cannot be decoded, whatever its text
}

// records joins the lines of a scanner to records and passes over blank lines.
type records struct {
	scanner *scanner
	csv     *CSVDecoder // nil: every line is a record
	final   bool
	queue   []Line // lines to be looked at again
	buf     []byte
}

// newRecords reads records as the decoder has them. With final the input is
// complete as it is: an open quote at its end is an error, not a record to wait for.
func newRecords(s *scanner, d Decoder, final bool) *records {
	csv, _ := d.(*CSVDecoder)
	return &records{scanner: s, csv: csv, final: final}
}

// Next returns the next record, or io.EOF.
func (r *records) Next() (Record, error) {
	for {
		line, err := r.line()
		if err != nil {
			return Record{}, err
		}
		record := Record{Text: line.Text, Start: line.Start, End: line.End, Partial: line.Partial}
		switch {
		case line.Long:
			record.Err = fmt.Errorf("longer than %d bytes", maxLineBytes)
			return record, nil
		case blank(line.Text):
			continue
		case r.csv == nil || !r.csv.continues(false, line.Text):
			return record, nil
		}
		return r.join(line)
	}
}

// waiting describes a record that is partial.
func (r *records) waiting(record Record) *Waiting {
	return &Waiting{Line: record.Start.Line + 1, Open: record.End.Line > record.Start.Line+1 || record.End == r.scanner.Pos()}
}

func (r *records) line() (Line, error) {
	if len(r.queue) > 0 {
		line := r.queue[0]
		r.queue = r.queue[1:]
		return line, nil
	}
	return r.scanner.Next()
}

func (r *records) ready() bool {
	buffered, _ := r.scanner.r.Peek(r.scanner.r.Buffered())
	return len(r.queue) > 0 || bytes.IndexByte(buffered, '\n') >= 0
}

// join reads on until the quote that is open at the end of the first line is
// closed. If it never is, only the first line is rejected, and the lines after
// it are records of their own: one bad quote must not swallow good records.
func (r *records) join(first Line) (Record, error) {
	record := Record{Start: first.Start, End: first.End, Partial: first.Partial}
	first.Text = slices.Clone(first.Text)
	r.buf = append(r.buf[:0], first.Text...)
	var after []Line
	for inside := true; inside; {
		line, err := r.line()
		if errors.Is(err, io.EOF) {
			if r.final {
				break
			}
			record.Text, record.Partial = r.buf, true
			return record, nil
		}
		if err != nil {
			return Record{}, err
		}
		line.Text = slices.Clone(line.Text)
		after = append(after, line)
		if line.Long || len(r.buf)+1+len(line.Text) > maxLineBytes {
			break
		}
		r.buf = append(append(r.buf, '\n'), line.Text...)
		record.End, record.Partial = line.End, line.Partial
		if inside = r.csv.continues(true, line.Text); !inside {
			record.Text = r.buf
			return record, nil
		}
	}
	r.queue = append(after, r.queue...)
	return Record{Text: first.Text, Start: first.Start, End: first.End, Partial: first.Partial,
		Err: errors.New("a quote that opens on this line is never closed")}, nil
}
