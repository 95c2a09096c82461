package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"odometer/internal/intake"
)

// stdin sends standard input, which is read to its end and never remembered.
func (r *Run) stdin(ctx context.Context, out *FileTotals) error {
	plain, err := intake.NewReader(interruptible(ctx, r.Stdin))
	if err != nil {
		return err
	}
	defer plain.Close()
	buffered := bufio.NewReaderSize(plain, 64<<10)
	d, _, err := r.Decoder("-", func(enough func([][]byte) bool) ([][]byte, error) { return peekLines(buffered, enough) })
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	r.noteNoCustomer(d)
	reader, err := intake.ReadStream(buffered, d, intake.ReadOptions{Source: r.Source, Final: r.Final})
	if err != nil {
		return err
	}
	if d.Derived() && r.Source == "" {
		return errors.New("standard input has no identity of its own: name it with --source")
	}
	next := func(b *batch) error { return b.fill(reader, r.Batch, true, r.checkOf(ctx, d)) }
	p := &pipe{r.Send, r.Connections}
	err = p.run(ctx, next, func(b *batch) { r.answered(out, b) }, func(*batch) error { return nil })
	if err == nil && reader.Waiting != nil {
		// Nothing can follow the end of standard input, so this is no waiting line.
		lost := &batch{rejected: []Problem{{reader.Waiting.Line, "the input ends within this record; --final takes it as it is"}}}
		r.answered(out, lost)
	}
	return err
}

// peekLines returns the first lines that are not blank, without reading them:
// no more than are needed, as those after may be long in coming.
func peekLines(b *bufio.Reader, enough func([][]byte) bool) ([][]byte, error) {
	for {
		_, err := b.Peek(b.Buffered() + 1) // waits for more
		text, _ := b.Peek(b.Buffered())
		whole := text
		if err == nil {
			whole = text[:bytes.LastIndexByte(text, '\n')+1]
		}
		var lines [][]byte
		for line := range bytes.Lines(whole) {
			if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) > 0 && len(lines) < intake.DetectLines {
				lines = append(lines, line)
			}
		}
		switch {
		case err != nil && len(lines) == 0:
			return nil, io.EOF
		case err != nil || len(lines) == intake.DetectLines || len(lines) > 0 && enough(lines):
			return lines, nil
		}
	}
}

// interruptible makes a blocking read give up when ctx ends, for standard input.
// The read itself goes on until the process ends.
func interruptible(ctx context.Context, from io.Reader) io.Reader {
	return &interruptibleReader{ctx: ctx, from: from, answers: make(chan readAnswer, 1)}
}

type interruptibleReader struct {
	ctx     context.Context
	from    io.Reader
	answers chan readAnswer
	buf     []byte // owned by the reading goroutine between two answers
	rest    []byte
	err     error
}

type readAnswer struct {
	n   int
	err error
}

func (r *interruptibleReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		if r.buf == nil {
			r.buf = make([]byte, 64<<10)
		}
		go func() {
			n, err := r.from.Read(r.buf)
			r.answers <- readAnswer{n, err}
		}()
		select {
		case a := <-r.answers:
			r.rest, r.err = r.buf[:a.n], a.err
		case <-r.ctx.Done():
			r.err = r.ctx.Err()
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}
