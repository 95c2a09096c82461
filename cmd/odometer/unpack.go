package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"odometer/internal/ledger"
	"odometer/internal/meter"
)

// unpackBackup writes a stream's files and its manifest into dir, which must
// not exist or be empty. dir appears only once everything in it is checked and
// on disk.
func unpackBackup(stream io.Reader, dir string) (backupManifest, error) {
	partial, err := claimNew(dir)
	if err != nil {
		return backupManifest{}, err
	}
	m, err := readBackup(stream, func(name string, size int64, content io.Reader) error {
		if free, ok := ledger.FreeDisk(partial); ok && uint64(size) > free {
			return meter.Errorf(meter.KindStorageFull, "the backup's file %.200q has %d bytes, of which the disk of %s has room for %d", name, size, dir, free)
		}
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
