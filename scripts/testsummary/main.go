// Command testsummary reads `go test -json` and prints one line per package,
// the output of what failed, and the counts; its exit status is the tests'.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is a line of `go test -json`, see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of a failed build
	Elapsed                       float64
}

func main() {
	failed, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
	if failed {
		os.Exit(1)
	}
}

// summarize reports whether anything failed.
func summarize(in io.Reader, out io.Writer) (failed bool, err error) {
	var passes, failures, skips int
	var skipped []string
	output := map[string]*strings.Builder{} // by package and test, until it has passed
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // not of go test: a panic of the tool, say
			continue
		}
		key := e.Package + e.ImportPath + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
			continue
		case "pass":
			if e.Test != "" {
				passes++
			} else {
				fmt.Fprintf(out, "ok    %7.2fs %s\n", e.Elapsed, e.Package)
			}
		case "skip":
			if e.Test != "" {
				skips++
				skipped = append(skipped, e.Package+"."+e.Test)
			}
		case "fail", "build-fail":
			failed = true
			if e.Test != "" {
				failures++
			}
			fmt.Fprintf(out, "FAIL  %7.2fs %s%s %s\n", e.Elapsed, e.Package, e.ImportPath, e.Test)
			if text := output[key]; text != nil {
				fmt.Fprintln(out, text)
			}
		default:
			continue
		}
		delete(output, key)
	}
	sort.Strings(skipped)
	for _, name := range skipped {
		fmt.Fprintln(out, "skipped", name)
	}
	if failed && failures == 0 {
		failures = 1 // a package that did not build or ended early
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passes, failures, skips)
	return failed, lines.Err()
}
