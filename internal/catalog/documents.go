package catalog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Documents reads the documents of a text one after another: set apart by lines
// that are ---, or JSON that has one a line.
type Documents struct {
	r    *bufio.Reader
	line int // that was read last
}

// NewDocuments reads from r.
func NewDocuments(r io.Reader) *Documents { return &Documents{r: bufio.NewReaderSize(r, 1<<20)} }

// Next returns the text of the next document that has anything in it, and the
// line at which that begins; io.EOF at the end. Of a document that is too large
// it returns no more than shows that.
func (d *Documents) Next() (text []byte, line int, err error) {
	for err == nil {
		text, line, err = d.chunk()
		if len(bytes.TrimSpace(text)) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return text, line, nil
		}
	}
	return nil, 0, err
}

// separatorBytes is how long a line is that sets documents apart, with what may follow.
const separatorBytes = 64

// chunk is the text until a line that sets documents apart.
func (d *Documents) chunk() (text []byte, line int, err error) {
	line = d.line + 1
	for {
		left := MaxDocumentBytes + 1 - len(text)
		one, err := d.readLine(max(left, separatorBytes))
		if bytes.Equal(bytes.TrimRight(one, " \t\r\n"), []byte("---")) {
			return text, line, err
		}
		first := len(bytes.TrimSpace(text)) == 0
		text = append(text, one[:min(len(one), left)]...)
		if err != nil || first && bytes.HasPrefix(bytes.TrimSpace(one), []byte("{")) && json.Valid(one) {
			return text, line, err
		}
	}
}

// readLine reads a line, of a long one so many bytes, and passes over the rest.
func (d *Documents) readLine(most int) (line []byte, err error) {
	for {
		some, err := d.r.ReadSlice('\n')
		line = append(line, some[:min(len(some), max(0, most-len(line)))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		d.line++
		return line, err
	}
}
