package intake

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
)

// Line is one line of a stream.
type Line struct {
	// Text is without its newline and at most maxLineBytes long; it is valid until
	// the next call of Next. NUL bytes before it are left out: a file that is
	// truncated under a writer that does not append starts with a hole.
	Text    []byte
	Start   Pos  // before the line
	End     Pos  // after the line and its newline
	Long    bool // longer than MaxLineBytes: Text holds only its beginning
	Partial bool // the input ended before a newline; End counts none
}

// scanner splits a stream into lines and keeps the chain hash.
type scanner struct {
	r    *bufio.Reader
	pos  Pos
	hash hash.Hash
	buf  []byte
	each func(end Pos) // called after each complete line, if set
	done bool          // the end was seen; a file that grows meanwhile is for the next reader
}

// newScanner reads r, which starts at pos of its stream.
func newScanner(r io.Reader, pos Pos) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 256<<10), pos: pos, hash: sha256.New()}
}

// Pos returns the position after the last complete line.
func (s *scanner) Pos() Pos { return s.pos }

// Next returns the next line, or io.EOF. A last line without a newline is
// returned once, marked Partial, and does not move Pos; its chain is the one
// it will have when only its newline follows.
func (s *scanner) Next() (Line, error) {
	if s.done {
		return Line{}, io.EOF
	}
	s.hash.Reset()
	s.hash.Write(s.pos.Chain[:])
	line := Line{Start: s.pos, End: s.pos}
	s.buf = s.buf[:0]
	for {
		part, err := s.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return Line{}, err
		}
		line.End.Offset += int64(len(part))
		if err == nil {
			part = part[:len(part)-1]
		}
		s.hash.Write(part)
		if len(s.buf) == 0 && len(part) > 0 && part[0] == 0 {
			part = bytes.TrimLeft(part, "\x00")
		}
		if err == nil && len(s.buf) == 0 && len(part) <= maxLineBytes {
			line.Text = part // the usual case: no copy
		} else {
			keep := min(len(part), maxLineBytes-len(s.buf))
			line.Long = line.Long || keep < len(part)
			s.buf = append(s.buf, part[:keep]...)
			line.Text = s.buf
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		s.done = err != nil
		if s.done && line.End.Offset == line.Start.Offset {
			return Line{}, io.EOF
		}
		line.Partial = s.done
		break
	}
	s.hash.Write([]byte{'\n'})
	s.hash.Sum(line.End.Chain[:0])
	line.End.Line++
	if !line.Partial {
		s.pos = line.End
		if s.each != nil {
			s.each(line.End)
		}
	}
	return line, nil
}
