package main

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nowhere is an address at which nothing listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// What is typed wrong ends with 2, what cannot be done with 1, each in one
// line that says what is wrong and where.
func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	url := nowhere(t)
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"--config " + missing:                        {exitUsage, "odometer: configuration file " + missing + ": no such file"},
		"serve --config " + missing:                  {exitUsage, "odometer: configuration file " + missing + ": no such file"},
		"config --config " + filepath.Dir(missing):   {exitUsage, "is a directory"},
		"frobnicate":                                 {exitUsage, "frobnicate"},
		"usag":                                       {exitUsage, `did you mean "usage"?`},
		"usage m --frob":                             {exitUsage, "--frob"},
		"--frob":                                     {exitUsage, "--frob"},
		"help frobnicate":                            {exitUsage, `there is no command "frobnicate"`},
		"help key frobnicate":                        {exitUsage, `there is no command "key frobnicate"`},
		"completion csh":                             {exitUsage, "csh"},
		"completion":                                 {exitUsage, "shell"},
		"usage m --window 5x --url " + url:           {exitUsage, `window "5x": want one of 5m, 15m, hour`},
		"usage m --limit=-1 --url " + url:            {exitUsage, "--limit -1"},
		"usage m --tz Nowhere --url " + url:          {exitUsage, "Nowhere"},
		"usage m --from yesterday --url " + url:      {exitUsage, "yesterday"},
		"usage m --url " + url:                       {exitFailed, "cannot talk to a server at " + url + ":"},
		"key list --url " + url:                      {exitFailed, "cannot talk to a server at " + url + ":"},
		"catalog --url " + url:                       {exitFailed, "cannot talk to a server at " + url + ":"},
		"listing list --organization o --url " + url: {exitFailed, "cannot talk to a server at " + url + ":"},
		"report stuck --url " + url:                  {exitFailed, "cannot talk to a server at " + url + ":"},
		"load --url " + url:                          {exitFailed, "cannot talk to a server at " + url + ":"},
		"backup --url " + url + " " + missing:        {exitFailed, "cannot talk to a server at " + url + ":"},
	} {
		code, out, errs := command(t, map[string]string{"ODOMETER_KEY": "odo_a_b"}, strings.Fields(line)...)
		if code != want.code || !strings.Contains(errs, want.text) || strings.Contains(errs, "--help:") || strings.Contains(errs, "/api/v1") {
			t.Errorf("odometer %s: exit code %d, want %d and %q: %s", line, code, want.code, want.text, errs)
		}
		if out != "" {
			t.Errorf("odometer %s printed %q", line, out)
		}
		if want.code == exitFailed && strings.Count(errs, "\n") != 1 {
			t.Errorf("odometer %s: more than one line: %s", line, errs)
		}
	}
}

// What the server says is wrong in a question was typed wrong.
func TestRefusedQuestion(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.post("/api/v1/meters", s.adminKey, "application/json", testMeter)
	if code, _, errs := command(t, s.as(s.adminKey), "usage", "traffic", "--group-by", "region,region"); code != exitUsage || !strings.Contains(errs, "400") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code, _, errs := command(t, s.as(s.adminKey), "usage", "nothing"); code != exitFailed || !strings.Contains(errs, "404") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	s.stop()
}

// Help, version and completion work whatever the configuration is.
func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	broken := map[string]string{"ODOMETER_CONFIG": filepath.Join(t.TempDir(), "missing.yaml")}
	version := must(t, broken, "version")
	for _, flag := range []string{"--version", "-V"} {
		if got := must(t, broken, flag); got != version {
			t.Errorf("%s: %q, want %q", flag, got, version)
		}
	}
	for words, asFlag := range map[string]string{"help": "--help", "help usage": "usage --help", "help key create": "key create --help"} {
		if got, want := must(t, broken, strings.Fields(words)...), must(t, broken, strings.Fields(asFlag)...); got != want || !strings.Contains(got, "Usage: odometer") {
			t.Errorf("%s:\n%s\nwant\n%s", words, got, want)
		}
	}
	if fish := must(t, broken, "completion", "fish"); !strings.Contains(fish, "-a usage -d 'Print the usage of a meter") || !strings.Contains(fish, "-l format") {
		t.Error("fish completes no usage or no format")
	}
}

// The script completes in a real bash.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	script := must(t, nil, "completion", "bash")
	for typed, want := range map[string]string{
		"us":                    "usage",
		"key cr":                "create",
		"usage --fo":            "--format",
		"usage --format c":      "csv",
		"usage --tz ":           "",
		"completion f":          "fish",
		"help rest":             "restore",
		"key create --role ing": "ingest",
		"serve --limits.key-r":  "--limits.key-requests",
	} {
		words := strings.Split("odometer "+typed, " ")
		line := script + "COMP_WORDS=(" + "'" + strings.Join(words, "' '") + "'); COMP_CWORD=" + string(rune('0'+len(words)-1)) + "; _odometer; echo \"${COMPREPLY[*]}\""
		out, err := exec.CommandContext(t.Context(), "bash", "-c", line).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q completes to %q, want %q: %v", typed, got, want, err)
		}
	}
}

// typedInShells are command lines and what they complete to, the first
// candidate where there are several. A value is at the line's end.
var typedInShells = map[string]string{
	"us":                    "usage",
	"key cr":                "create",
	"report st":             "stuck",
	"usage --fo":            "--format",
	"usage --format c":      "csv",
	"completion f":          "fish",
	"help rest":             "restore",
	"key create --role ing": "ingest",
	"serve --limits.key-r":  "--limits.key-requests",
	"key create cre":        "cre", // it is there already
}

// The scripts complete in a real fish and a real zsh.
func TestFishAndZshCompletion(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("not run with -short: it wants fish and zsh, which make test installs")
		return
	}
	fish, empty := textFile(t, must(t, nil, "completion", "fish")), t.TempDir()
	lines := slices.Sorted(maps.Keys(typedInShells))
	var buffers []string
	for _, typed := range lines {
		want := typedInShells[typed]
		command := exec.CommandContext(t.Context(), "fish", "--no-config", "-c", "source "+fish+"; complete -C 'odometer "+typed+"'")
		command.Dir = empty // files are offered where nothing else is
		out, err := command.CombinedOutput()
		got, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
		if err != nil || got != want && (got != "" || !strings.HasSuffix(typed, " "+want)) {
			t.Errorf("fish: %q completes to %q, want %q: %v", typed, out, want, err)
		}
		buffers = append(buffers, "odometer "+typed[:strings.LastIndexByte(" "+typed, ' ')]+want)
	}
	if got := zshBuffers(t, lines); !slices.Equal(got, buffers) {
		t.Errorf("zsh: %q\nwant %q", got, buffers)
	}
}

// zshBuffers types lines and a tab after each in an interactive zsh, and
// returns what its editor then holds.
func zshBuffers(t *testing.T, lines []string) []string {
	t.Helper()
	folder := t.TempDir()
	held := filepath.Join(folder, "held")
	setup := `autoload -Uz compinit; compinit -u -D; source ` + textFile(t, must(t, nil, "completion", "zsh")) + `
hold() { print -r -- "$BUFFER" >>` + held + `; BUFFER= }
zle -N hold; bindkey '^T' hold; bindkey '^I' complete-word
PS1='rea''dy> '
`
	// The keys are typed one after the other when the prompt is there; what zsh draws is read until it ends.
	script := `zmodload zsh/zpty; TERM=dumb; zpty z zsh -f -i; zpty -w z "source $1"; shift; zpty -r z drawn '*ready*'
for line; do zpty -w -n z "odometer $line"$'\t\x14'; done
zpty -w z exit; while zpty -r z drawn; do :; done`
	command := exec.CommandContext(t.Context(), "zsh", append([]string{"-f", "-c", script, "zsh", textFile(t, setup)}, lines...)...)
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil && len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(held)
	if err != nil {
		t.Fatal(err)
	}
	buffers := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range buffers {
		buffers[i] = strings.TrimRight(buffers[i], " ")
	}
	return buffers
}
