package disk

import (
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// privateFS is the disk, on which all that the stores make is the owner's
// only: the log holds the hash key, and usage is nobody else's business. The
// engine itself leaves the modes to the process's mask.
type privateFS struct{ vfs.FS }

const (
	privateFile = 0o600
	privateDir  = 0o700
)

// Private is the file system below, on which all that is made is the owner's only.
func Private(fs vfs.FS) vfs.FS { return privateFS{fs} }

// Create implements vfs.FS.
func (p privateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := p.FS.Create(name, category)
	return keptPrivate(name, file, err)
}

// OpenReadWrite implements vfs.FS; it makes a file that is not there.
func (p privateFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := p.FS.OpenReadWrite(name, category, opts...)
	return keptPrivate(name, file, err)
}

// ReuseForWrite implements vfs.FS.
func (p privateFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := p.FS.ReuseForWrite(from, to, category)
	return keptPrivate(to, file, err)
}

// MkdirAll implements vfs.FS.
func (p privateFS) MkdirAll(dir string, _ os.FileMode) error {
	return p.FS.MkdirAll(dir, privateDir)
}

// Lock implements vfs.FS.
func (p privateFS) Lock(name string) (io.Closer, error) {
	lock, err := p.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, privateFile); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

func keptPrivate(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, privateFile); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
