package intake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// lookBytes is how much of a stream's beginning tells how its text is written.
const lookBytes = 64 << 10

// maxZstdWindow is what `zstd --long` asks for; a larger one would be memory
// that a hostile file claims.
const maxZstdWindow = 128 << 20

// unserved are compressions that are told by their first bytes and not read.
var unserved = []struct {
	magic        string
	name, unpack string
}{
	{"\xfd7zXZ\x00", "xz", "xz -dc"},
	{"BZh", "bzip2", "bzip2 -dc"},
	{"\x04\x22\x4d\x18", "lz4", "lz4 -dc"},
	{"LZIP", "lzip", "lzip -dc"},
	{"\x1f\x9d", "compress", "zcat"},
	{"PK\x03\x04", "zip", "unzip -p"},
	{"7z\xbc\xaf\x27\x1c", "7z", "7z x -so"},
	{"\xff\x06\x00\x00sNaPpY", "snappy", "snzip -dc"},
}

// compressionOf tells a compression from a file's first bytes; "" is none.
func compressionOf(magic []byte) (string, error) {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return "gzip", nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		// A skippable frame, with which pzstd begins (RFC 8878 section 3.1.2).
		len(magic) >= 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:4], []byte{0x2a, 0x4d, 0x18}):
		return "zstd", nil
	}
	for _, c := range unserved {
		if bytes.HasPrefix(magic, []byte(c.magic)) {
			return "", fmt.Errorf("it is compressed with %s, which is not read: unpack it (%s FILE | odometer ingest --source NAME -)", c.name, c.unpack)
		}
	}
	return "", nil
}

// decompress unpacks gzip or zstd.
func decompress(r io.Reader, kind string) (io.ReadCloser, error) {
	if kind == "gzip" {
		return gzip.NewReader(r)
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// writing is how the text of a stream is written, as far as its beginning tells.
type writing struct {
	carriageReturns bool // lines end in CR alone, as on the first Macintosh
}

// look tells how text is written. UTF-16 is an error: its bytes are no lines.
func look(text []byte) (w writing, err error) {
	big := bytes.HasPrefix(text, []byte{0xfe, 0xff}) || len(text) >= 4 && text[0] == 0 && text[1] != 0 && text[2] == 0 && text[3] != 0
	little := bytes.HasPrefix(text, []byte{0xff, 0xfe}) || len(text) >= 4 && text[0] != 0 && text[1] == 0 && text[2] != 0 && text[3] == 0
	if big || little {
		return w, errors.New("its text is UTF-16, which is not read: convert it (iconv -f UTF-16 -t UTF-8)")
	}
	if at := bytes.IndexByte(text, '\r'); at >= 0 && at+1 < len(text) {
		w.carriageReturns = bytes.IndexByte(text, '\n') < 0
	}
	return w, nil
}

// plainLines looks at the beginning of a stream and makes its lines end in LF.
func plainLines(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, lookBytes)
	// One read is enough to begin with: a pipe may not have more for long.
	if _, err := b.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	begin, _ := b.Peek(b.Buffered())
	w, err := look(begin)
	if err != nil {
		return nil, err
	}
	if w.carriageReturns {
		return &lineFeeds{b}, nil
	}
	return b, nil
}

// lineFeeds makes each CR an LF; offsets stay.
type lineFeeds struct{ r io.Reader }

// Read reads from the stream below.
func (l *lineFeeds) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}
