package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// cursorKeyFile holds the key under which surfaces sign their cursors. It is
// no part of a backup: without it a new one is made and old cursors end.
const cursorKeyFile = "cursor.key"

const cursorKeyBytes = 32

// cursorKey returns the key of a data directory whose lock is held.
func cursorKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, cursorKeyFile)
	key, err := os.ReadFile(path)
	if err == nil && len(key) == cursorKeyBytes {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the key of cursors: %w", err)
	}
	key = make([]byte, cursorKeyBytes)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(path, key, 0o600); err != nil {
		return nil, fmt.Errorf("write the key of cursors: %w", err)
	}
	return key, nil
}
