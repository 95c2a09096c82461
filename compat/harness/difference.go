package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Difference is one place where we answer other than the vendor on purpose, or
// where the vendor's answer is not known. A test holds the server against
// Ours; Mirrored holds the surface's page against the texts.
type Difference struct {
	What     string
	Vendor   string // the vendor's answer
	Evidence string // how that is known
	Ours     string
}

// Mirrored checks that the table under "Different on purpose" of the page
// docs/surfaces/NAME.md has a row for each difference, in order, and no other.
func Mirrored(t testing.TB, name string, list []Difference) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "surfaces", name+".md"))
	Check(t, err)
	const head = "\n## Different on purpose\n"
	_, section, ok := strings.Cut(string(page), head)
	if !ok {
		t.Fatalf("docs/surfaces/%s.md has no section%s", name, head)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| Where |") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	for i, d := range list {
		want := "| " + d.What + " | " + d.Vendor + " (" + d.Evidence + ") | " + d.Ours + " |"
		if i >= len(rows) || rows[i] != want {
			t.Errorf("docs/surfaces/%s.md, row %d under %q: want\n%s", name, i+1, strings.TrimSpace(head), want)
		}
	}
	if len(rows) > len(list) {
		t.Errorf("docs/surfaces/%s.md: no test states these differences: %q", name, rows[len(list):])
	}
}
