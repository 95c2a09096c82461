package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startedOnce runs serve over a fresh directory until it is ready, and returns what it printed.
func startedOnce(t *testing.T, terminal bool, vars map[string]string, flags ...string) (out, log string, code int) {
	t.Helper()
	env, _, stderr := testEnv(vars)
	env.IsTerminal = func(any) bool { return terminal }
	var printed bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	env.Stdout = writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "listening: ") {
			cancel()
		}
		return printed.Write(p)
	})
	code = Run(ctx, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--limits.min-free-disk", "1MiB"}, flags...))
	return printed.String(), stderr.String(), code
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestFirstKey: the first admin key is shown on a terminal only; else it is in
// a file of its owner's, or was given beforehand.
func TestFirstKey(t *testing.T) {
	t.Parallel()
	works := func(data, key string) {
		t.Helper()
		s := serve(t, data)
		defer s.stop()
		if code, _, stderr := command(t, s.as(key), "key", "list"); code != exitOK {
			t.Errorf("the key does not work: %s", stderr)
		}
		if s.adminKey != "" {
			t.Error("a second start has a first key")
		}
	}
	const given = "odo_0123456789abcdef_0123456789abcdef0123456789abcdef0123456789A"

	data := filepath.Join(t.TempDir(), "data")
	out, log, _ := startedOnce(t, false, nil, "--data", data)
	file := filepath.Join(data, "admin.key")
	text, err := os.ReadFile(file)
	info, statErr := os.Stat(file)
	if err != nil || statErr != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(out, "admin key file: "+file+"\n") || strings.Contains(out+log, "odo_") {
		t.Fatalf("%v %v\n%s%s", err, statErr, out, log)
	}
	works(data, strings.TrimSpace(string(text)))

	data = filepath.Join(t.TempDir(), "data")
	out, _, _ = startedOnce(t, true, nil, "--data", data)
	key, ok := strings.CutPrefix(strings.Split(out, "\n")[0], "admin key: ")
	if _, err := os.Stat(filepath.Join(data, "admin.key")); !ok || err == nil {
		t.Fatalf("on a terminal: %s", out)
	}
	works(data, key)

	data = filepath.Join(t.TempDir(), "data")
	if out, log, _ = startedOnce(t, false, map[string]string{"ODOMETER_ADMIN_KEY": given}, "--data", data); strings.Contains(out+log, "odo_") || strings.Contains(out, "admin key") {
		t.Errorf("given by the environment: %s%s", out, log)
	}
	works(data, given)

	data = filepath.Join(t.TempDir(), "data")
	file = filepath.Join(t.TempDir(), "first")
	if err := os.WriteFile(file, []byte(given+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, log, code := startedOnce(t, false, nil, "--data", data, "--admin-key-file", file); code != exitFailed || !strings.Contains(log, "chmod 600") {
		t.Errorf("a file that all may read: exit code %d, %s", code, log)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, log, _ = startedOnce(t, true, nil, "--data", data, "--admin-key-file", file); strings.Contains(out+log, "odo_") || !strings.Contains(out, "admin key file: "+file) {
		t.Errorf("given by a file: %s%s", out, log)
	}
	works(data, given)

	file = filepath.Join(t.TempDir(), "made")
	data = filepath.Join(t.TempDir(), "data")
	startedOnce(t, true, nil, "--data", data, "--admin-key-file", file)
	if text, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	works(data, strings.TrimSpace(string(text)))

	if _, log, code := startedOnce(t, false, map[string]string{"ODOMETER_ADMIN_KEY": "secret"}, "--data", t.TempDir()); code == exitOK || !strings.Contains(log, "form of a key") || strings.Contains(log, "secret") {
		t.Errorf("no key: exit code %d, %s", code, log)
	}
}
