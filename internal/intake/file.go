package intake

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// FileID is the device and inode of a file; zero where the system has none.
type FileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// Stat is what was seen of a file at one moment.
type Stat struct {
	FileID
	Size    int64     `json:"size"` // on disk, compressed or not
	ModTime time.Time `json:"mod_time"`
}

// Same says whether nothing about the file has changed.
func (s Stat) Same(o Stat) bool {
	return s.FileID == o.FileID && s.FileID != FileID{} && s.Size == o.Size && s.ModTime.Equal(o.ModTime)
}

// File is an open input file. It stays the same file when its name is given to
// another. Close it after use.
type File struct {
	Path string
	Stat Stat // as of Open or the last Refresh

	f          *os.File
	compressed string  // "", "gzip" or "zstd"
	writing    writing // of a file that is not compressed
	read       atomic.Int64
}

// Open opens a regular file; compression is told from its first bytes.
func Open(path string) (*File, error) {
	// A pipe would keep Open waiting for a writer.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; pipe it to standard input with --source", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	in := &File{Path: path, f: f}
	if err := in.Refresh(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return in, nil
}

// Refresh looks at the file's size and first bytes again.
func (f *File) Refresh() error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	f.Stat = statOf(info)
	begin := make([]byte, lookBytes)
	n, err := f.f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	begin = begin[:n]
	if f.compressed, err = compressionOf(begin); err == nil && f.compressed == "" {
		f.writing, err = look(begin)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return nil
}

func statOf(info os.FileInfo) Stat {
	return Stat{FileID: fileID(info), Size: info.Size(), ModTime: info.ModTime().UTC()}
}

// StatPath looks at the file that has the name now.
func StatPath(path string) (Stat, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Stat{}, err
	}
	return statOf(info), nil
}

// Compressed says whether offsets of the stream differ from those on disk.
func (f *File) Compressed() bool { return f.compressed != "" }

// BytesRead returns how far on disk the reader of the last call of Reader is,
// for progress. It may be called from any goroutine.
func (f *File) BytesRead() int64 { return f.read.Load() }

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// reader returns a reader of the uncompressed stream from an offset. At most
// one may be in use; it ends where the file ends when that is reached. Close
// frees the decompressor, not the file.
func (f *File) reader(offset int64) (io.ReadCloser, error) {
	if f.compressed == "" {
		f.read.Store(offset)
		var r io.Reader = &fileReader{f: f, at: offset}
		if f.writing.carriageReturns {
			r = &lineFeeds{r}
		}
		return io.NopCloser(r), nil
	}
	f.read.Store(0)
	r, err := NewReader(&fileReader{f: f})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return r, nil
}

// fileReader reads with ReadAt, so that several readers never share a position.
type fileReader struct {
	f  *File
	at int64
}

func (r *fileReader) Read(p []byte) (int, error) {
	n, err := r.f.f.ReadAt(p, r.at)
	r.at += int64(n)
	r.f.read.Store(r.at)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// NewReader unpacks gzip or zstd, or returns plain input as it is, for input
// that is not a file.
func NewReader(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return unpack(b, magic)
}

// unpack returns the lines of a stream that begins with magic.
func unpack(r io.Reader, magic []byte) (io.ReadCloser, error) {
	kind, err := compressionOf(magic)
	if err != nil {
		return nil, err
	}
	closer := io.NopCloser(r)
	if kind != "" {
		if closer, err = decompress(r, kind); err != nil {
			return nil, err
		}
	}
	lines, err := plainLines(closer)
	if err != nil {
		return nil, errors.Join(err, closer.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{lines, closer}, nil
}

// tail returns a hash of the text before the offset, at most tailBytes of it;
// only for files that are not compressed.
func (f *File) tail(offset int64) (string, error) {
	n := min(offset, tailBytes)
	text := make([]byte, n)
	if _, err := f.f.ReadAt(text, offset-n); err != nil {
		return "", fmt.Errorf("%s: %w", f.Path, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
