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
func readBackup(stream io.Reader, keep func(name string, content io.Reader) error) (backupManifest, error) {
	var m backupManifest
	found := map[string]backupFile{}
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("the backup cannot be read to its end: %w", err)
		}
		if header.Name == manifestName {
			if err := json.NewDecoder(io.LimitReader(archive, maxManifest)).Decode(&m); err != nil {
				return m, fmt.Errorf("the backup's manifest: %w", err)
			}
			continue
		}
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
			return m, fmt.Errorf("the backup holds %q, which is not a file of a backup", header.Name)
		}
		sum := sha256.New()
		if err := keep(header.Name, io.TeeReader(archive, sum)); err != nil {
			return m, err
		}
		found[header.Name] = backupFile{Path: header.Name, Bytes: header.Size, SHA256: hex.EncodeToString(sum.Sum(nil))}
	}
	return m, m.check(found)
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
	m, err := readBackup(stream, func(_ string, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err == nil { // the archive's padding, for whoever copies the stream
		_, err = io.Copy(io.Discard, stream)
	}
	return m, err
}

// unpackBackup writes a stream's files and its manifest into dir, which must
// not exist or be empty. dir appears only once everything in it is checked and
// on disk.
func unpackBackup(stream io.Reader, dir string) (backupManifest, error) {
	partial, err := claimNew(dir)
	if err != nil {
		return backupManifest{}, err
	}
	m, err := readBackup(stream, func(name string, content io.Reader) error {
		return writeSynced(filepath.Join(partial, filepath.FromSlash(name)), content)
	})
	if err == nil {
		err = writeManifest(partial, m)
	}
	if err == nil {
		err = publish(partial, dir)
	}
	if err != nil {
		return m, errors.Join(err, os.RemoveAll(partial))
	}
	return m, nil
}

// claimNew makes the folder that will be renamed to dir.
func claimNew(dir string) (partial string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		return "", usageErrorf("%s is not empty; name a directory that is not there yet", dir)
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".partial-")
}

func writeSynced(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Sync(), file.Close())
}

func writeManifest(dir string, m backupManifest) error {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), text, 0o600)
}

// publish syncs all folders below partial and gives it its name.
func publish(partial, dir string) error {
	err := filepath.WalkDir(partial, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncDir(path)
	})
	if err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// packDirectory writes the backup in a directory as a stream: the files its
// manifest names, then the manifest as it stands.
func packDirectory(w io.Writer, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
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
