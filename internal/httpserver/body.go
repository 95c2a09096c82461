package httpserver

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"odometer/internal/meter"
	"odometer/internal/share"
)

const maxWindow = 8 << 20 // of a zstd frame, RFC 8878 section 3.1.1.1.2

// classes are the sizes of pooled buffers: a single event, small batches,
// large ones. What is larger still is left to the garbage collector.
var classes = [...]int64{4 << 10, 32 << 10, 256 << 10, 2 << 20}

var pools [len(classes)]sync.Pool // of *[]byte

// getBuffer returns an empty buffer of at least size bytes.
func getBuffer(size int64) *[]byte {
	for i, c := range classes {
		if size <= c {
			if b, ok := pools[i].Get().(*[]byte); ok {
				return b
			}
			size = c
			break
		}
	}
	b := make([]byte, 0, size)
	return &b
}

func putBuffer(b *[]byte) {
	for i, c := range classes {
		if int64(cap(*b)) == c {
			*b = (*b)[:0]
			pools[i].Put(b)
			return // another request may have it by now
		}
	}
}

// body is one request's bytes in a pooled buffer.
type body struct {
	buf   *[]byte // nil until it is read
	who   share.Who
	taken int64 // from the budget
}

// grow makes room for size bytes, taking from the budget what the buffer
// itself takes, whatever it will hold.
func (b *body) grow(size int64, from *share.Budget) error {
	next := getBuffer(size)
	more := int64(cap(*next)) - b.taken
	if !from.Take(b.who, b.taken, more) {
		putBuffer(next)
		return &meter.Error{Kind: meter.KindOverloaded, RetryAfter: time.Second,
			Message: "too many request bodies in progress; send this one again"}
	}
	b.taken += more
	if b.buf != nil {
		*next = append(*next, *b.buf...)
		putBuffer(b.buf)
	}
	b.buf = next
	return nil
}

func (b *body) release(from *share.Budget) {
	if b.buf != nil {
		putBuffer(b.buf)
		from.Give(b.who, b.taken)
	}
	*b = body{}
}

// Body reads the request's body, decompressed. The bytes are valid until the
// handler returns. Errors: KindTooLarge over a limit, KindUnsupported for an
// encoding other than gzip, zstd and identity, KindOverloaded when too many
// bytes are held already, KindInvalid for a body that is broken or too slow.
func (x *Exchange) Body() ([]byte, error) {
	if x.hasBody {
		return *x.body.buf, nil
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
	x.body.who = x.sender()
	if err := x.readBody(&x.body, encoding); err != nil {
		return nil, err
	}
	x.hasBody = true
	return *x.body.buf, nil
}

// maxDrained bounds what is read of a body that was refused for its size, and
// drainTime for how long.
const (
	maxDrained = 256 << 20
	drainTime  = 10 * time.Second
)

// drain reads on in a body whose request has been answered already: a client
// that sends all of it before it reads would else find its connection reset,
// and never see the answer.
func (x *Exchange) drain() {
	r := x.Request
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	if x.control.Flush() != nil || x.control.SetReadDeadline(x.server.now().Add(drainTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrained)) // whoever sends more than that, or slower, sees a reset
}

// sender is in whose share of the budget the body is: the key's and its
// organization's, or, where it is read before the key is known, the address's.
func (x *Exchange) sender() share.Who {
	if x.Principal.Organization != "" {
		return share.Who{Organization: x.Principal.Organization, Key: x.Principal.KeyID}
	}
	host, _, err := net.SplitHostPort(x.Request.RemoteAddr)
	if err != nil {
		host = x.Request.RemoteAddr
	}
	return share.Who{Key: host}
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

// slurp reads src to its end into b, growing as bytes arrive: what a header
// promises is believed up to the largest pooled buffer only.
func (s *Server) slurp(b *body, src io.Reader, promised int64, what string, limit int64) error {
	size := min(max(promised, 0), classes[len(classes)-1]-1) + 1 // one more, to read the end
	for {
		if err := b.grow(size, s.budget); err != nil {
			return err
		}
		buf := *b.buf
		for len(buf) < cap(buf) {
			n, err := src.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if int64(len(buf)) > limit {
				return tooLarge(what, limit)
			}
			if err == io.EOF {
				*b.buf = buf
				return nil
			}
			if err != nil {
				return bodyError(err)
			}
		}
		*b.buf = buf
		size = min(2*int64(cap(buf)), max(limit, int64(cap(buf)))+1)
	}
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
