package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"odometer/internal/store/keys"
)

// adminKeyFile is where the first admin key is left, in the data directory,
// where there is no terminal to show it on.
const adminKeyFile = "admin.key"

// firstKey is how the first admin key of a fresh directory comes about: given
// beforehand by a setting or in a file, shown on a terminal, or left in a file.
// It is never printed to what may be a log.
type firstKey struct {
	given string // "" = a new one
	file  string // where it is left, or was given; "" = nowhere
}

// firstKey decides it. Nothing is written yet.
func (s *ServerSettings) firstKey(terminal bool) (firstKey, error) {
	if s.AdminKey != "" {
		return firstKey{given: s.AdminKey}, nil
	}
	k := firstKey{file: s.AdminKeyFile}
	if k.file == "" && (terminal || s.showAdminKey) {
		return k, nil
	}
	if k.file == "" {
		k.file = filepath.Join(s.Data, adminKeyFile)
	}
	info, err := os.Stat(k.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, nil
	case err != nil:
		return k, fmt.Errorf("admin key file: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return k, fmt.Errorf("admin key file %s may be read by others: chmod 600 %s", k.file, k.file)
	}
	text, err := os.ReadFile(k.file)
	k.given = strings.TrimSpace(string(text))
	return k, err
}

// key is it in the catalog's words.
func (k firstKey) key() keys.FirstKey {
	first := keys.FirstKey{Token: k.given}
	if k.given == "" && k.file != "" {
		first.Keep = func(token string) error { return keepKey(k.file, token) }
	}
	return first
}

// keepKey writes a file that only its owner may read, durably.
func keepKey(path, token string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("admin key file: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
