//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockName is the file whose lock a process holds while it uses a data
// directory. It names the process; the lock itself ends with the process.
const lockName = "LOCK"

// lockData takes the data directory for this process, before anything in it is touched.
func lockData(dir string) (release func(), err error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = file.Close() }()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(file, 100))
		return nil, exitWith(exitInUse, fmt.Errorf("the data directory %s is in use by %s; stop it, or use another directory",
			dir, strings.TrimSpace(string(holder))))
	}
	if err := errors.Join(file.Truncate(0), writeHolder(file)); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}

func writeHolder(file *os.File) error {
	_, err := fmt.Fprintf(file, "process %d\n", os.Getpid())
	return err
}
