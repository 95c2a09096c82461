// Package semanticstest runs the scripts of testdata/semantics, which are the
// worked examples of docs/semantics.md, against a real ledger: bodies go
// through the decoder, figures come from the reader of usage.
package semanticstest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var rewriteFlag = flag.Bool("rewrite", false, "write the answers into testdata/semantics instead of checking them")

// TestSemantics runs every script as it stands. At its end the whole log is
// verified. Every figure that cells gave is asked again of the events.
func TestSemantics(t *testing.T) {
	t.Parallel()
	for _, s := range scripts(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, s, false)
			if *rewriteFlag {
				if err := os.WriteFile(filepath.Join(folder, s.name+".txt"), []byte(s.text(got)), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compare(t, s, got, func(answer string) string { return answer })
		})
	}
}

// TestSemanticsAcrossRestarts runs every script with a restart before each
// command: what was answered once is answered again from disk. Only whether a
// figure came from cells or events may change.
func TestSemanticsAcrossRestarts(t *testing.T) {
	t.Parallel()
	if *rewriteFlag {
		return
	}
	source := regexp.MustCompile(`from (cells|events)`)
	for i, s := range scripts(t) {
		if testing.Short() && i%5 != 0 {
			continue // each restart syncs the disk a dozen times
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			compare(t, s, run(t, s, true), func(answer string) string { return source.ReplaceAllString(answer, "from somewhere") })
		})
	}
}

func compare(t *testing.T, s *script, got []string, same func(string) string) {
	t.Helper()
	for i, p := range s.parts {
		if same(got[i]) != same(p.want) {
			t.Errorf("%s.txt:%d: %s\n%s----\ngot:\n%swant:\n%s", s.name, p.line, p.command, strings.Join(append(p.input, ""), "\n"), got[i], p.want)
		}
	}
}

// run returns the answer to each part of a script.
func run(t *testing.T, s *script, restarts bool) []string {
	t.Helper()
	w := newWorld(t)
	got := make([]string, len(s.parts))
	for i, p := range s.parts {
		if p.prose != "" {
			continue
		}
		if restarts && w.ledger != nil {
			w.reopen()
		}
		w.out.Reset()
		if err := w.do(p); err != nil {
			w.say(err)
		}
		got[i] = w.out.String()
	}
	if !testing.Short() || len(w.series) == 0 { // the log of a series is long
		w.verify()
	}
	return got
}
