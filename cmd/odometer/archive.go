package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A backup is a tar stream, or the same files in a directory: those of a data
// directory and, last, a manifest with the checksum of each. A stream without
// its manifest is not a whole backup.

const (
	manifestName   = "backup.json"
	manifestFormat = 1
	maxManifest    = 64 << 20
)

type backupManifest struct {
	Format   int          `json:"format"`
	Version  string       `json:"version"` // of the program that made it
	Created  time.Time    `json:"created"`
	Sequence uint64       `json:"sequence"`           // of the log; everything up to it is in the backup
	LeftOut  []string     `json:"left_out,omitempty"` // what the data directory needs and the backup lacks, for people to read
	Files    []backupFile `json:"files"`
}

type backupFile struct {
	Path   string `json:"path"` // with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// packBackup writes the files below dir and then the manifest.
func packBackup(ctx context.Context, w io.Writer, dir string, m backupManifest) error {
	m.Format = manifestFormat
	archive := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		file, err := packFile(archive, path, filepath.ToSlash(name), m.Created)
		m.Files = append(m.Files, file)
		return err
	})
	if err != nil {
		return fmt.Errorf("pack the backup: %w", err)
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(tarHeader(manifestName, int64(len(text)), m.Created)); err != nil {
		return err
	}
	if _, err := archive.Write(text); err != nil {
		return err
	}
	return archive.Close()
}

func tarHeader(name string, size int64, at time.Time) *tar.Header {
	return &tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at.Truncate(time.Second), Format: tar.FormatPAX}
}

func packFile(archive *tar.Writer, path, name string, at time.Time) (backupFile, error) {
	// Before it is opened: a pipe would be waited for.
	if info, err := os.Lstat(path); err != nil {
		return backupFile{}, err
	} else if !info.Mode().IsRegular() {
		return backupFile{}, fmt.Errorf("%s is not a file of a backup", path)
	}
	source, err := os.Open(path)
	if err != nil {
		return backupFile{}, err
	}
	defer func() { _ = source.Close() }()
	info, err := source.Stat()
	if err != nil {
		return backupFile{}, err
	}
	if err := archive.WriteHeader(tarHeader(name, info.Size(), at)); err != nil {
		return backupFile{}, err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(archive, sum), source); err != nil {
		return backupFile{}, err
	}
	return backupFile{Path: name, Bytes: info.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// readBackup hands each file of a tar stream to keep and checks it against
// the manifest at the end. Nothing is complete before it returns nil.
func readBackup(stream io.Reader, keep func(name string, size int64, content io.Reader) error) (backupManifest, error) {
	m, err := readArchive(stream, keep)
	if errors.Is(err, io.ErrUnexpectedEOF) { // wherever it ends, it is a backup that is damaged
		return m, exitWith(exitDisagrees, errors.New("the backup is cut short: it ends within a file"))
	}
	return m, err
}

func readArchive(stream io.Reader, keep func(name string, size int64, content io.Reader) error) (backupManifest, error) {
	var m backupManifest
	found := map[string]backupFile{}
	archive, names := tar.NewReader(stream), 0
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("the backup cannot be read to its end: %w", err)
		}
		if isSparse(header) {
			return m, fmt.Errorf("the backup holds %.200q as a sparse file of %d bytes, which no backup does", header.Name, header.Size)
		}
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
			return m, fmt.Errorf("the backup holds %.200q, which is not a file of a backup", header.Name)
		}
		if _, twice := found[header.Name]; twice || header.Name == manifestName && m.Format != 0 {
			return m, fmt.Errorf("the backup holds %.200q twice", header.Name)
		}
		if names += len(header.Name); names > maxManifest {
			return m, fmt.Errorf("the backup holds more files than a manifest of %d bytes can name", maxManifest)
		}
		if header.Name == manifestName {
			if header.Size > maxManifest {
				return m, fmt.Errorf("the backup's manifest has %d bytes, the limit is %d", header.Size, maxManifest)
			}
			if err := json.NewDecoder(io.LimitReader(archive, maxManifest)).Decode(&m); err != nil {
				return m, fmt.Errorf("the backup's manifest: %w", err)
			}
			continue
		}
		sum := sha256.New()
		if err := keep(header.Name, header.Size, io.TeeReader(archive, sum)); err != nil {
			return m, err
		}
		found[header.Name] = backupFile{Path: header.Name, Bytes: header.Size, SHA256: hex.EncodeToString(sum.Sum(nil))}
	}
	return m, m.check(found)
}

// isSparse says that a file of a tar stream is larger than what the stream
// holds of it: a few bytes can name a file that fills any disk.
func isSparse(header *tar.Header) bool {
	if header.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for name := range header.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// check compares what was found with what the manifest says.
func (m backupManifest) check(found map[string]backupFile) error {
	if m.Format == 0 {
		return exitWith(exitDisagrees, errors.New("the backup is cut short: it has no manifest"))
	}
	if m.Format != manifestFormat {
		return fmt.Errorf("the backup has format %d; this program reads format %d", m.Format, manifestFormat)
	}
	for _, want := range m.Files {
		got, ok := found[want.Path]
		if !ok {
			return exitWith(exitDisagrees, fmt.Errorf("the backup lacks the file %s", want.Path))
		}
		if got != want {
			return exitWith(exitDisagrees, fmt.Errorf("the backup's file %s is damaged", want.Path))
		}
	}
	if len(found) != len(m.Files) {
		return exitWith(exitDisagrees, fmt.Errorf("the backup has %d files, its manifest names %d", len(found), len(m.Files)))
	}
	return nil
}

// checkBackup reads a whole stream and keeps nothing.
func checkBackup(stream io.Reader) (backupManifest, error) {
	m, err := readBackup(stream, func(_ string, _ int64, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err == nil { // the archive's padding, for whoever copies the stream
		_, err = io.Copy(io.Discard, stream)
	}
	return m, err
}

// packDirectory writes the backup in a directory as a stream: the files its
// manifest names, then the manifest as it stands.
func packDirectory(w io.Writer, dir string) error {
	path := filepath.Join(dir, manifestName)
	if info, err := os.Stat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > maxManifest) {
		return usageErrorf("%s is not a backup: its manifest has %d bytes, the limit is %d", dir, info.Size(), maxManifest)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return usageErrorf("%s is not a backup: %v", dir, err)
	}
	var m backupManifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("the backup's manifest: %w", err)
	}
	archive := tar.NewWriter(w)
	for _, file := range m.Files {
		if !filepath.IsLocal(file.Path) {
			return fmt.Errorf("the backup's manifest names %q, which is not a file of a backup", file.Path)
		}
		if _, err := packFile(archive, filepath.Join(dir, filepath.FromSlash(file.Path)), file.Path, m.Created); err != nil {
			return fmt.Errorf("read the backup: %w", err)
		}
	}
	if err := archive.WriteHeader(tarHeader(manifestName, int64(len(text)), m.Created)); err != nil {
		return err
	}
	if _, err := archive.Write(text); err != nil {
		return err
	}
	return archive.Close()
}
