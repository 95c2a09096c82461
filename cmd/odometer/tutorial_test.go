package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tutorialMark stands in each page whose lines TestTutorials runs.
const tutorialMark = "<!-- tutorial: "

var fencedBlock = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// TestTutorials runs the sh blocks of each tutorial in order, in a folder of
// its own, and looks for the lines of its text blocks in what they print.
func TestTutorials(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run: it builds the program")
		return
	}
	run := 0
	for _, path := range docPages(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), tutorialMark) {
			continue
		}
		run++
		t.Run(strings.TrimSuffix(filepath.Base(path), ".md"), func(t *testing.T) {
			t.Parallel()
			runTutorial(t, string(text))
		})
	}
	if run < 3 {
		t.Errorf("only %d tutorials were found", run)
	}
}

func runTutorial(t *testing.T, page string) {
	t.Helper()
	var script strings.Builder
	var want []string
	for _, block := range fencedBlock.FindAllStringSubmatch(page, -1) {
		if block[1] == "sh" {
			script.WriteString(block[2])
		} else {
			want = append(want, strings.Split(strings.TrimSpace(block[2]), "\n")...)
		}
	}
	bin := t.TempDir()
	if err := os.Symlink(buildBinary(t), filepath.Join(bin, "odometer")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euc", "trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n"+script.String())
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), "ODOMETER_LISTEN=127.0.0.1:0", "XDG_STATE_HOME="+t.TempDir(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range want {
		if !strings.Contains(string(out), strings.TrimSpace(line)) {
			t.Errorf("the tutorial does not print %q:\n%s", line, out)
		}
	}
}
