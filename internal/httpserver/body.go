package httpserver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"odometer/internal/meter"
)

const (
	firstBuffer = 4 << 10 // holds a single event; grown as bytes arrive
	keptBuffer  = 2 << 20 // larger ones are left to the garbage collector
	maxWindow   = 8 << 20 // of a zstd frame, RFC 8878 section 3.1.1.1.2
)

// budget bounds the bytes of all bodies in memory.
type budget struct {
	used atomic.Int64
	max  int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// body is one request's bytes in a pooled buffer.
type body struct {
	buf   []byte
	taken int64 // from the budget
}

var bodies = sync.Pool{New: func() any { return &body{buf: make([]byte, 0, firstBuffer)} }}

func (b *body) release(from *budget) {
	from.give(b.taken)
	b.taken = 0
	if cap(b.buf) <= keptBuffer {
		b.buf = b.buf[:0]
		bodies.Put(b)
	}
}

// Body reads the request's body, decompressed. The bytes are valid until the
// handler returns. Errors: KindTooLarge over a limit, KindUnsupported for an
// encoding other than gzip, zstd and identity, KindOverloaded when too many
// bytes are held already, KindInvalid for a body that is broken or too slow.
func (x *Exchange) Body() ([]byte, error) {
	if x.body != nil {
		return x.body.buf, nil
	}
	s := x.server
	r := x.Request
	if r.ContentLength > s.limits.BodyBytes {
		return nil, tooLarge("body", s.limits.BodyBytes)
	}
	encoding, err := contentEncoding(r)
	if err != nil {
		return nil, err
	}
	b := bodies.Get().(*body)
	err = x.readBody(b, encoding)
	if err != nil {
		b.release(&s.budget)
		return nil, err
	}
	x.body = b
	return b.buf, nil
}

func tooLarge(what string, limit int64) error {
	return meter.Errorf(meter.KindTooLarge, "%s is larger than %d bytes", what, limit)
}

// contentEncoding returns "", "gzip" or "zstd".
func contentEncoding(r *http.Request) (string, error) {
	v := r.Header["Content-Encoding"]
	if len(v) == 0 {
		return "", nil
	}
	switch e := strings.ToLower(strings.TrimSpace(strings.Join(v, ","))); e {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "zstd":
		return e, nil
	default:
		return "", meter.Errorf(meter.KindUnsupported, "content encoding %.40q is not supported: want gzip, zstd or identity", e)
	}
}

func (x *Exchange) readBody(b *body, encoding string) error {
	l := &x.server.limits
	src := &wire{x: x, left: l.BodyBytes}
	var err error
	switch encoding {
	case "gzip":
		err = x.server.gunzip(b, src)
	case "zstd":
		err = x.server.unzstd(b, src)
	default:
		err = x.server.slurp(b, src, x.Request.ContentLength, "body", l.BodyBytes)
	}
	if err == nil {
		_ = x.control.SetReadDeadline(time.Time{}) // a slow answer is not a slow body
	}
	return err
}

// slurp reads src to its end into b, growing as bytes arrive (never on the
// word of a header alone) and taking from the budget as it grows.
func (s *Server) slurp(b *body, src io.Reader, hint int64, what string, limit int64) error {
	buf := b.buf[:0]
	if err := s.charge(b, int64(cap(buf))); err != nil {
		return err
	}
	for {
		if len(buf) == cap(buf) {
			size := int64(cap(buf)) * 4
			if hint >= int64(len(buf)) && hint < size {
				size = hint + 1 // one more, to read the end
			}
			size = max(min(size, limit+1), int64(len(buf))+1)
			if err := s.charge(b, size); err != nil {
				return err
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return tooLarge(what, limit)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return bodyError(err)
		}
	}
	b.buf = buf
	return nil
}

// charge takes what b holds beyond what it has taken before.
func (s *Server) charge(b *body, size int64) error {
	if size <= b.taken {
		return nil
	}
	if !s.budget.take(size - b.taken) {
		return &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Second,
			Message: "too many request bodies in progress; send this one again"}
	}
	b.taken = size
	return nil
}

var gzips sync.Pool // of *gzip.Reader

func (s *Server) gunzip(b *body, src io.Reader) error {
	z, _ := gzips.Get().(*gzip.Reader)
	var err error
	if z == nil {
		z, err = gzip.NewReader(src)
	} else {
		err = z.Reset(src)
	}
	if err != nil {
		return bodyError(err)
	}
	err = s.slurp(b, z, -1, "decompressed body", s.limits.DecompressedBytes)
	gzips.Put(z)
	return err
}

var zstds sync.Pool // of *zstd.Decoder

func (s *Server) unzstd(b *body, src io.Reader) error {
	z, _ := zstds.Get().(*zstd.Decoder)
	var err error
	if z == nil {
		z, err = zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	} else {
		err = z.Reset(src)
	}
	if err != nil {
		return bodyError(err)
	}
	err = s.slurp(b, z, -1, "decompressed body", s.limits.DecompressedBytes)
	_ = z.Reset(nil) // drops the reference to this request
	zstds.Put(z)
	return err
}

// bodyError tells apart what can go wrong while a body arrives.
func bodyError(err error) error {
	var known *meter.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, os.ErrDeadlineExceeded):
		return meter.Errorf(meter.KindInvalid, "the body arrived too slowly and was given up; nothing of it was counted")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return meter.Errorf(meter.KindTooLarge, "zstd window is larger than %d bytes", maxWindow)
	}
	return meter.WrapError(meter.KindInvalid, err, "the body could not be read to its end; nothing of it was counted")
}

// wire reads the bytes as sent: at most left of them, each read under a
// deadline that moves on only as fast as Limits.BodyRate allows. The first
// deadline was set when the request began.
type wire struct {
	x    *Exchange
	got  int64
	left int64
}

// Read reads at most one byte beyond the limit, to tell a full body from one that is over.
func (w *wire) Read(p []byte) (int, error) {
	l := &w.x.server.limits
	if w.left < 0 {
		return 0, tooLarge("body", l.BodyBytes)
	}
	if w.got > 0 {
		allowed := min(l.BodyGrace+time.Duration(w.got*int64(time.Second)/l.BodyRate), l.BodyTimeout)
		if err := w.x.control.SetReadDeadline(w.x.start.Add(allowed)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	if int64(len(p)) > w.left+1 {
		p = p[:w.left+1]
	}
	n, err := w.x.Request.Body.Read(p)
	w.got += int64(n)
	w.left -= int64(n)
	if w.left < 0 {
		return n, tooLarge("body", l.BodyBytes)
	}
	return n, err
}
