package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"odometer/internal/ledger"
)

// TestDataIsItsOwnersOnly: nothing that a server makes can be read by others,
// and a data directory that they may look into is refused with the line that
// mends it.
func TestDataIsItsOwnersOnly(t *testing.T) {
	t.Parallel()
	data := t.TempDir() // empty and open to all: made private
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t, data)
	s.post("/api/v1/events", s.adminKey, "application/cloudevents+json", `{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}`)
	s.stop()
	count := 0
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if count++; err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil || count < 10 {
		t.Fatal(count, err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	restored := filepath.Join(t.TempDir(), "restored")
	must(t, nil, "backup", "--data", data, backup)
	must(t, nil, "restore", backup, "--data", restored)

	refused := func(what, path string, mode, back fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"serve", "--data", data, "--listen", "127.0.0.1:0"}, {"verify", "--data", data}, {"key", "list", "--data", data},
			{"backup", "--data", data, filepath.Join(t.TempDir(), "b")}, {"repair", "--data", data},
		} {
			if code, _, errs := command(t, nil, args...); code != exitUsage || !strings.Contains(errs, "chmod") || !strings.Contains(errs, data) {
				t.Errorf("%s, %s: exit code %d, %s", what, args[0], code, errs)
			}
		}
		if err := os.Chmod(path, back); err != nil {
			t.Fatal(err)
		}
	}
	refused("directory", data, 0o755, 0o700)
	refused("directory of the group", data, 0o710, 0o700)
	refused("catalog", filepath.Join(data, catalogFile), 0o644, 0o600)
	refused("ledger", filepath.Join(data, ledgerFolder, "LOCK"), 0o640, 0o600)
	refused("folder", filepath.Join(data, ledgerFolder), 0o701, 0o700)
	must(t, nil, "verify", "--data", data)
	must(t, nil, "verify", "--data", restored)
}

// TestSecretsInOpenFiles: a file with a secret in it that others may read is
// refused, one without secrets is nobody's concern, and no secret is repeated.
func TestSecretsInOpenFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "aws"), []byte("ID:hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text    string
		mode    fs.FileMode
		refused bool
	}{
		"key":                    {"key: odo_hush", 0o644, true},
		"key of the group":       {"key: odo_hush", 0o640, true},
		"key, written only":      {"key: odo_hush", 0o602, true},
		"key, private":           {"key: odo_hush", 0o600, false},
		"key, read only":         {"key: odo_hush", 0o400, false},
		"password":               {"catalog: postgres://user:hush@host/db", 0o644, true},
		"password as a part":     {"catalog: postgres://host/db?user=u&password=hush", 0o644, true},
		"no password":            {"catalog: postgres://user@host/db", 0o644, false},
		"credentials":            {"marketplace:\n  aws:\n    credentials: ID:hush", 0o644, true},
		"credentials of another": {"marketplace.azure.credentials: tenant:id:hush", 0o604, true},
		"file of credentials":    {"marketplace.aws.credentials: " + filepath.Join(folder, "aws"), 0o644, false},
		"nothing secret":         {"listen: 127.0.0.1:0\nkey: ''", 0o644, false},
	} {
		path := filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		code, out, errs := command(t, nil, "config", "--config", path)
		if strings.Contains(out+errs, "hush") {
			t.Errorf("%s: the secret is repeated: %s%s", name, out, errs)
		}
		if !c.refused && code != exitOK {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
		if c.refused && (code != exitUsage || !strings.Contains(errs, "chmod 600 "+path)) {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
	}
	file := filepath.Join(folder, "aws")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	for setting, value := range map[string]string{"aws": file, "azure": file, "gcp": file} {
		code, _, errs := command(t, nil, "serve", "--data", filepath.Join(t.TempDir(), "d"), "--listen", "127.0.0.1:0", "--marketplace."+setting+".credentials", value)
		if code != exitUsage || !strings.Contains(errs, "chmod 600 "+file) {
			t.Errorf("%s: exit code %d: %s", setting, code, errs)
		}
	}
}

// sparseTar is a tar stream of a few KiB with one file of a petabyte, as GNU
// tar writes sparse files.
func sparseTar(t *testing.T, form string, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	header := &tar.Header{Name: "ledger/log/000001.sst", Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	content := ""
	switch form {
	case "0.1":
		header.PAXRecords = map[string]string{"GNX.sparse.numblocks": "1", "GNX.sparse.map": "0,0", "GNX.sparse.size": fmt.Sprint(size)}
	case "1.0":
		header.PAXRecords = map[string]string{"GNX.sparse.major": "1", "GNX.sparse.minor": "0", "GNX.sparse.realsize": fmt.Sprint(size), "GNX.sparse.name": "ledger/x"}
		content = "0\n" + strings.Repeat("\x00", 510)
	case "plain":
		header.Size = size
	}
	if form != "plain" {
		header.Size = int64(len(content))
	}
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if form != "plain" {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	raw := b.Bytes()
	if form == "old" {
		copy(raw[156:], "S")                              // the kind of file
		copy(raw[257:], "ustar  \x00")                    // GNU's magic
		clear(raw[329:512])                               // no devices, no prefix
		copy(raw[386:], "00000000000\x0000000000000\x00") // one part of nothing
		raw[483] = 0x80                                   // its real size in base 256
		for i := range 8 {
			raw[494-i] = byte(size >> (8 * i))
		}
		sum := 0
		copy(raw[148:156], "        ")
		for _, c := range raw[:512] {
			sum += int(c)
		}
		copy(raw[148:], fmt.Sprintf("%06o\x00 ", sum))
	}
	return bytes.ReplaceAll(raw, []byte("GNX."), []byte("GNU.")) // the writer refuses to
}

// TestRestoreOfSparseFiles: a stream that names more than it holds is refused
// before anything of it is on the disk.
func TestRestoreOfSparseFiles(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"0.1", "1.0", "old", "plain"} {
		folder := t.TempDir()
		path := filepath.Join(folder, "b.tar")
		if err := os.WriteFile(path, sparseTar(t, form, 1<<50), 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := ledger.FreeDisk(folder)
		code, _, errs := command(t, nil, "restore", path, "--data", filepath.Join(folder, "data"))
		want := "sparse"
		if form == "plain" {
			want = "has room for"
		}
		if code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %s", form, code, errs)
		}
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: left behind %v, %v (%d bytes were free)", form, entries, err, before)
		}
		if _, err := checkBackup(bytes.NewReader(sparseTar(t, form, 1<<50))); err == nil {
			t.Errorf("%s: a backup that holds it is taken", form)
		}
	}
}

// TestRestoreOfOddStreams: what a backup never holds is refused.
func TestRestoreOfOddStreams(t *testing.T) {
	t.Parallel()
	pack := func(headers ...*tar.Header) *bytes.Buffer {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, h.Size)); err != nil {
				t.Fatal(err)
			}
		}
		return &b
	}
	file := func(name string, size int64) *tar.Header {
		return &tar.Header{Name: name, Mode: 0o600, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	}
	for name, c := range map[string]struct {
		stream *bytes.Buffer
		want   string
	}{
		"a file twice":     {pack(file("a", 1), file("a", 1)), "twice"},
		"a large manifest": {pack(file(manifestName, maxManifest+1)), "the limit is"},
		"a link":           {pack(&tar.Header{Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), "not a file of a backup"},
		"a manifest link":  {pack(&tar.Header{Name: manifestName, Linkname: "x", Typeflag: tar.TypeSymlink}), "not a file of a backup"},
	} {
		if _, err := checkBackup(c.stream); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, manifestName), []byte(`{"format":1,"files":[{"path":"p"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(folder, "p")); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, nil, "restore", folder, "--data", filepath.Join(t.TempDir(), "d")); code == exitOK || !strings.Contains(errs, "not a file of a backup") {
		t.Errorf("a link in a folder: %d %s", code, errs)
	}
}
