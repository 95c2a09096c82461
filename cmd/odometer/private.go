package main

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// othersMay are the permissions that nobody but the owner may have on what
// holds usage, keys or the ledger's hash key.
const othersMay = 0o077

// hasModes says whether files have permissions of this kind here.
const hasModes = runtime.GOOS != "windows"

// checkPrivate refuses a data directory that others may look into. One that is
// still empty is made private instead: nothing in it was ever to be seen.
func checkPrivate(dir string) error {
	if !hasModes {
		return nil
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return usageErrorf("%s is not a data directory: %v", dir, err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return usageErrorf("%s is not a directory", dir)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&othersMay != 0 && len(entries) == 0 && os.Chmod(root, 0o700) == nil {
		return nil
	}
	open, count := "", 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil && path != root && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			return nil // gone meanwhile, or nobody's but root's, as lost+found is
		}
		if err != nil || path == root {
			return err
		}
		info, err := os.Stat(path) // a link has the permissions of what it leads to
		if err == nil && info.Mode().Perm()&othersMay != 0 {
			if count++; count == 1 {
				open = path
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch mode := info.Mode().Perm(); {
	case count > 0:
		return usageErrorf("others may read %s of the data directory %s (%s, mode %04o of the directory); run: chmod -R go-rwx %s",
			plural(count, "file"), dir, open, mode, shellWord(root))
	case mode&othersMay != 0:
		return usageErrorf("others may read the data directory %s (mode %04o); run: chmod 700 %s", dir, mode, shellWord(root))
	}
	return nil
}

// checkSecretFile refuses a file with a secret in it that others may read.
func checkSecretFile(what, path string) error {
	info, err := os.Stat(path)
	if err != nil || !readByOthers(info) {
		return nil //nolint:nilerr // whoever reads the file tells that it cannot be
	}
	return usageErrorf("%s: others may read %s, which holds a secret (mode %04o); run: chmod 600 %s", what, path, info.Mode().Perm(), shellWord(path))
}

// readByOthers says whether anybody but the owner may use a file. The group may
// read root's files, as with PostgreSQL: that is how a secret is handed to a
// program that does not run as root.
func readByOthers(info fs.FileInfo) bool {
	refused := fs.FileMode(othersMay)
	if os.Geteuid() != 0 && ownedByRoot(info) {
		refused = 0o037
	}
	return hasModes && info.Mode().IsRegular() && info.Mode().Perm()&refused != 0
}

// holdsSecret says whether a secret setting's value is one itself: a place
// without a password or the name of a file is not.
func holdsSecret(name, text string) bool {
	switch {
	case text == "":
		return false
	case name == "catalog":
		at, err := url.Parse(text)
		if err != nil {
			return true
		}
		_, password := at.User.Password()
		return password || at.Query().Has("password") || at.Query().Has("sslpassword")
	case strings.HasSuffix(name, ".credentials"):
		_, err := os.Stat(text)
		return err != nil && strings.Contains(text, ":")
	}
	return true
}

// shellWord quotes a path for a line to be pasted into a shell.
func shellWord(path string) string {
	if strings.IndexFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+=@%,:", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
