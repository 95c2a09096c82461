package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docCommand is a command line that a page shows.
type docCommand struct{ page, line string }

// docCommands are the lines of README and docs that begin with a program's
// name, or in which it is what a pipe leads to, in code blocks and indented, with
// their continuations.
func docCommands(t *testing.T, program string) []docCommand {
	t.Helper()
	var out []docCommand
	read := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		joined := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(string(text), "")
		fenced, open := false, "" // a line whose quote is closed on a later one
		for line := range strings.SplitSeq(joined, "\n") {
			if open != "" {
				line, open = open+"\n"+line, ""
			}
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
				continue
			}
			inside, ok := strings.CutPrefix(line, "    ")
			if fenced {
				inside, ok = strings.TrimLeft(line, " $"), true
			}
			if _, after, piped := strings.Cut(inside, " | "+program+" "); ok && piped {
				inside = program + " " + after
			}
			switch {
			case !ok || !strings.HasPrefix(inside, program+" "):
			case strings.Count(inside, "'")%2 != 0 && !strings.Contains(inside, "#"):
				open = line
			default:
				out = append(out, docCommand{path, inside})
			}
		}
	}
	for _, path := range docPages(t) {
		read(path)
	}
	return out
}

// isTutorial says whether a page is run as a whole, by TestTutorials.
func isTutorial(t *testing.T, path string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), tutorialMark)
}

// docPages are README and the pages of docs.
func docPages(t *testing.T) []string {
	t.Helper()
	out := []string{"../../README.md"}
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// words splits a line as a shell does, up to a comment, a pipe, a redirection
// or the end of the command.
func words(line string) []string {
	var out []string
	var word strings.Builder
	quote, open := rune(0), false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ':
			if open {
				out = append(out, word.String())
			}
			word.Reset()
			open = false
		case !open && strings.ContainsRune("#|><;&", c):
			return out
		default:
			word.WriteRune(c)
			open = true
		}
	}
	if open {
		out = append(out, word.String())
	}
	return out
}

// TestCommandsOfThePages parses every command line of the documentation: each
// command, flag and argument is there.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	commands := docCommands(t, "odometer")
	if len(commands) < 25 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for _, c := range commands {
		args := words(c.line)[1:]
		var text bytes.Buffer
		app, err := newApp(&Env{Stdout: &text, Stderr: &text, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.parser.Parse(args); err != nil && !app.exited {
			t.Errorf("%s: %s: %v", c.page, c.line, err)
		}
	}
}

// TestCurlLinesOfThePages runs every curl line of the documentation that asks
// the server at $ODOMETER_URL with the key in $ODOMETER_KEY.
func TestCurlLinesOfThePages(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	run := 0
	for _, c := range docCommands(t, "curl") {
		if !strings.Contains(c.line, "$ODOMETER_URL") || isTutorial(t, c.page) {
			continue
		}
		run++
		s.post("/api/v1/catalog", s.adminKey, "application/json", `{"customers":[{"id":"acme"}]}`)
		script := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.Replace(c.line, "curl ", "curl -sS --fail-with-body ", 1))
		script.Dir = t.TempDir()
		script.Env = append(os.Environ(), "ODOMETER_URL="+s.url, "ODOMETER_KEY="+s.adminKey)
		if out, err := script.CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", c.page, c.line, err, out)
		}
	}
	if run == 0 {
		t.Error("no line was found")
	}
	s.stop()
}
