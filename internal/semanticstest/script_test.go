package semanticstest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// folder holds the scripts, seen from this package.
const folder = "../../testdata/semantics"

// script is one file of testdata/semantics:
//
//	# Prose.
//
//	command argument=value ...
//	input
//	----
//	expected output
//
// Parts are separated by empty lines; a part whose first line begins with #
// is prose.
type script struct {
	name  string
	parts []part
}

type part struct {
	prose   string // of a part that is no command
	command string
	input   []string
	want    string // lines, each with its end
	line    int    // of the command
}

func readScript(path string) (*script, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &script{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for i := 0; i < len(lines); {
		if lines[i] == "" {
			i++
			continue
		}
		end := i
		for end < len(lines) && lines[end] != "" {
			end++
		}
		p, err := parsePart(lines[i:end], i+1)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		s.parts = append(s.parts, p)
		i = end
	}
	return s, nil
}

func parsePart(lines []string, number int) (part, error) {
	if strings.HasPrefix(lines[0], "#") {
		return part{prose: strings.Join(lines, "\n") + "\n"}, nil
	}
	p := part{command: lines[0], line: number}
	for i, line := range lines[1:] {
		if line == "----" {
			p.input = lines[1 : 1+i]
			for _, w := range lines[2+i:] {
				p.want += w + "\n"
			}
			return p, nil
		}
	}
	return p, fmt.Errorf("%q has no ---- and answer", lines[0])
}

// text renders the script with the answers got.
func (s *script) text(got []string) string {
	var b strings.Builder
	for i, p := range s.parts {
		if i > 0 {
			b.WriteString("\n")
		}
		if p.prose != "" {
			b.WriteString(p.prose)
			continue
		}
		b.WriteString(p.command + "\n")
		for _, line := range p.input {
			b.WriteString(line + "\n")
		}
		b.WriteString("----\n" + got[i])
	}
	return b.String()
}

var (
	repeated = regexp.MustCompile(`\$\(([^()]+)\*(\d+)\)`)
	numbered = regexp.MustCompile(`\$members\((\d+)\)`)
	hexByte  = regexp.MustCompile(`\$x([0-9a-f]{2})`)
)

// expand replaces $(TEXT*N) by N times TEXT, $members(N) by "1":1 to "N":N and
// $xHH by the byte HH.
func expand(line string) string {
	line = numbered.ReplaceAllStringFunc(line, func(m string) string {
		n, err := strconv.Atoi(numbered.FindStringSubmatch(m)[1])
		if err != nil {
			return m
		}
		var members []string
		for i := 1; i <= n; i++ {
			members = append(members, fmt.Sprintf(`"%d":%d`, i, i))
		}
		return strings.Join(members, ",")
	})
	line = repeated.ReplaceAllStringFunc(line, func(m string) string {
		sub := repeated.FindStringSubmatch(m)
		n, err := strconv.Atoi(sub[2])
		if err != nil {
			return m
		}
		return strings.Repeat(sub[1], n)
	})
	return hexByte.ReplaceAllStringFunc(line, func(m string) string {
		b, err := strconv.ParseUint(m[2:], 16, 8)
		if err != nil {
			return m
		}
		return string([]byte{byte(b)})
	})
}

// arguments are the words after a command: flags, targets, which begin with a
// slash, and name=value, which may repeat.
type arguments struct {
	words  []string
	values map[string][]string
}

func parseArguments(command string) (verb string, a arguments) {
	fields := strings.Fields(command)
	a.values = map[string][]string{}
	for _, f := range fields[1:] {
		name, value, ok := strings.Cut(f, "=")
		if ok && !strings.HasPrefix(f, "/") {
			a.values[name] = append(a.values[name], value)
		} else {
			a.words = append(a.words, f)
		}
	}
	return fields[0], a
}

func (a arguments) get(name string) string {
	if v := a.values[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (a arguments) or(name, otherwise string) string {
	if _, ok := a.values[name]; ok {
		return a.get(name)
	}
	return otherwise
}

func (a arguments) has(word string) bool {
	for _, w := range a.words {
		if w == word {
			return true
		}
	}
	return false
}

// only reports an argument that a command does not take, so that no script
// says something that is not heeded.
func (a arguments) only(names ...string) error {
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	for name := range a.values {
		if !known[name] {
			return fmt.Errorf("argument %s is not known", name)
		}
	}
	return nil
}

func scripts(t *testing.T) []*script {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts in %s: %v", folder, err)
	}
	var out []*script
	for _, p := range paths {
		s, err := readScript(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}
