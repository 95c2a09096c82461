package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCursorKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := cursorKey(dir)
	if err != nil || len(first) != cursorKeyBytes {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	if again, err := cursorKey(dir); err != nil || !bytes.Equal(first, again) {
		t.Errorf("another key after a restart: %v", err)
	}
	path := filepath.Join(dir, cursorKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := os.Truncate(path, 5); err != nil { // a crash while it was written
		t.Fatal(err)
	}
	if key, err := cursorKey(dir); err != nil || len(key) != cursorKeyBytes {
		t.Errorf("%d bytes, %v", len(key), err)
	}
	if _, err := cursorKey(filepath.Join(dir, "none")); err == nil {
		t.Error("a key without a folder")
	}
}
