package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// brokenWriter fails each write as err says.
type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestOutputThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"config"}, {"--help"}, {"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"}} {
		for _, c := range []struct {
			err  error
			says string
		}{
			{syscall.ENOSPC, "odometer: not everything was printed: no space left on device\n"},
			{syscall.EPIPE, ""}, {io.ErrClosedPipe, ""},
		} {
			env, _, stderr := testEnv(nil)
			env.Stdout = brokenWriter{c.err}
			code := Run(t.Context(), env, args)
			text := stderr.String()
			if args[0] == "serve" { // below its log
				text = text[strings.LastIndex(strings.TrimRight(text, "\n"), "\n")+1:]
				if c.says == "" && !strings.Contains(text, "odometer:") {
					text = ""
				}
			}
			if code != exitFailed || text != c.says {
				t.Errorf("%v, %v: exit code %d, %q", args, c.err, code, text)
			}
		}
	}
}

// TestDemoLeavesNothing ends demos as a reader that goes away, as a closed
// terminal and as kill -9 do. What the last one leaves is removed by the next.
func TestDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		return // builds and runs the program four times; the long tests do it
	}
	program := filepath.Join(t.TempDir(), "odometer")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temporary := t.TempDir()
	other := filepath.Join(temporary, demoPrefix+"not-ours")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	// run reads the demo's output up to a line that begins so, and ends it.
	run := func(until string, end func(cmd *exec.Cmd, out io.Closer) error) error {
		cmd := exec.CommandContext(t.Context(), program, "demo", "--listen", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = in
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = in.Close()
		for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), until); {
		}
		if err := end(cmd, out); err != nil {
			t.Fatal(err)
		}
		return cmd.Wait()
	}
	left := func() int {
		folders, err := filepath.Glob(filepath.Join(temporary, demoPrefix+"*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(folders) - 1
	}
	if err := run("admin key", func(_ *exec.Cmd, out io.Closer) error { return out.Close() }); err == nil || left() != 0 {
		t.Errorf("without a reader the demo ended with %v and left %d folders", err, left())
	}
	if err := run("Ctrl-C", func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Signal(syscall.SIGHUP) }); err != nil || left() != 0 {
		t.Errorf("at a hangup the demo ended with %v and left %d folders", err, left())
	}
	if err := run("Ctrl-C", func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Kill() }); err == nil || left() != 1 {
		t.Errorf("killed, the demo ended with %v and left %d folders", err, left())
	}
	if err := run("Ctrl-C", func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Signal(syscall.SIGTERM) }); err != nil || left() != 0 {
		t.Errorf("after a killed one the demo ended with %v; %d folders are left", err, left())
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("a folder without a lock was removed")
	}
}
