package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docMark is a comment in a page that says why a command line is not run, and
// which test does what it shows: <!-- not run: LINE: REASON (TestName) -->.
var docMark = regexp.MustCompile(`<!-- not run: (odometer .+?): (.+) \((Test\w+)\) -->`)

// docLogLine is a line of an access log.
const docLogLine = `192.0.2.1 - - [22/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"` + "\n"

// docWorld is what the pages' command lines are run in: a server, and folders
// for those that they name.
type docWorld struct {
	*testServer
	folder string
	id     string // of a key that may be revoked
}

func newDocWorld(t *testing.T) *docWorld {
	t.Helper()
	w := &docWorld{testServer: fresh(t), folder: t.TempDir()}
	page, err := os.ReadFile("../../docs/catalog.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	line := docLogLine
	for name, text := range map[string]string{
		"catalog.yaml":   example,
		"access.log":     line,
		"access.log.1":   strings.Replace(line, "10:00", "09:00", 1),
		"usage.csv":      "request_id,ts,account,out\n1,2026-11-22T10:00:00Z,acme,5\n",
		"backup/.exists": "",
	} {
		path := filepath.Join(w.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeCertificate(t, filepath.Join(w.folder, "cert.pem"), filepath.Join(w.folder, "key.pem"))
	w.post("/api/v1/catalog", w.adminKey, "application/json", `{"customers":[{"id":"acme"}]}`)
	w.post("/api/v1/organizations", w.adminKey, "application/json", `{"id":"shop"}`)
	made := must(t, w.environ(), "key", "create", "--role", "read")
	w.id, _, _ = strings.Cut(strings.TrimPrefix(made, "id: "), "\n")
	return w
}

func (w *docWorld) environ() map[string]string {
	return map[string]string{"ODOMETER_URL": w.url, "ODOMETER_KEY": w.adminKey}
}

// here is a line's arguments with the folders, files and addresses of the test.
func (w *docWorld) here(args []string) []string {
	var out []string
	for i, arg := range args {
		for _, folder := range []string{"/var/log/nginx", "/var/lib/odometer", "/backup"} {
			if rest, ok := strings.CutPrefix(arg, folder); ok {
				arg = filepath.Join(w.folder, strings.TrimPrefix(folder, "/var/log/nginx")) + rest
				break
			}
		}
		switch {
		case slices.Contains([]string{"catalog.yaml", "usage.csv", "cert.pem", "key.pem"}, arg):
			arg = filepath.Join(w.folder, arg)
		case arg == "ID":
			arg = w.id
		case i > 0 && args[i-1] == "--listen":
			arg = "127.0.0.1:0"
		}
		if found, err := filepath.Glob(arg); err == nil && strings.HasSuffix(arg, "*") && len(found) > 0 {
			out = append(out, found...)
			continue
		}
		out = append(out, arg)
	}
	if args[0] == "serve" {
		out = append(out, "--limits.min-free-disk", "1MiB")
		if !slices.Contains(args, "--data") {
			out = append(out, "--data", filepath.Join(w.folder, "another"))
		}
		if !slices.Contains(args, "--listen") {
			out = append(out, "--listen", "127.0.0.1:0")
		}
	}
	return out
}

// run runs a line to its end; one that serves is ended when it listens.
func (w *docWorld) run(args []string) (code int, log string) {
	env, _, stderr := testEnv(w.environ())
	ctx, cancel := context.WithTimeout(w.t.Context(), startWithin)
	defer cancel()
	var out strings.Builder
	env.Stdout = writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "listening: ") {
			cancel()
		}
		return out.Write(p)
	})
	env.Stdin = strings.NewReader(docLogLine) // of those that a pipe leads to
	code = Run(ctx, env, w.here(args))
	serves := args[0] == "serve" || args[0] == "simulate-marketplaces"
	if serves != strings.Contains(out.String(), "listening: ") {
		w.t.Errorf("odometer %s: %s", strings.Join(args, " "), out.String())
	}
	return code, stderr.String()
}

// TestPagesCommandsAreRun runs every command line of the documentation, page
// after page in one installation, but for those that a mark leaves out.
func TestPagesCommandsAreRun(t *testing.T) {
	t.Parallel()
	w := newDocWorld(t)
	marked := docMarks(t)
	for _, c := range docCommands(t, "odometer") {
		if isTutorial(t, c.page) {
			continue
		}
		args := words(c.line)
		if mark := c.page + ": " + strings.Join(args, " "); marked[mark] {
			delete(marked, mark)
			continue
		}
		if code, log := w.run(args[1:]); code != exitOK {
			t.Errorf("%s: %s: exit code %d\n%s", c.page, c.line, code, log)
		}
	}
	for mark := range marked {
		t.Errorf("a mark is of no command line: %s", mark)
	}
	w.stop()
}

// docMarks are the command lines that marks leave out, with their pages. Each
// names a test that is there.
func docMarks(t *testing.T) map[string]bool {
	t.Helper()
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	marked := map[string]bool{}
	for _, path := range docPages(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := docMark.FindAllStringSubmatch(string(text), -1)
		if len(found) != strings.Count(string(text), "<!-- not run:") {
			t.Errorf("%s: a mark has another form than %s", path, docMark)
		}
		for _, m := range found {
			if !strings.Contains(tests.String(), "func "+m[3]+"(") {
				t.Errorf("%s: there is no test %s", path, m[3])
			}
			marked[path+": "+m[1]] = true
		}
	}
	return marked
}
