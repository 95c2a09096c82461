package semanticstest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	repository = "../.."
	page       = repository + "/docs/semantics.md"
	vendorPage = repository + "/docs/semantics-vendors.md"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPageNamesEveryScript: each script is named on a page, and each one named exists.
func TestPageNamesEveryScript(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z-]+)\\.txt`").FindAllStringSubmatch(readText(t, page)+readText(t, vendorPage), -1) {
		named[m[1]] = true
	}
	for _, s := range scripts(t) {
		if !named[s.name] {
			t.Errorf("the pages do not name %s.txt", s.name)
		}
		delete(named, s.name)
	}
	for name := range named {
		t.Errorf("the pages name %s.txt, which does not exist", name)
	}
}

// TestExcerptsAreOfScripts: each block "```text NAME.txt" is part of the
// script; a line of three points leaves lines out.
func TestExcerptsAreOfScripts(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```text ([a-z-]+\\.txt)\n(.*?)\n```").FindAllStringSubmatch(readText(t, page)+readText(t, vendorPage), -1)
	if len(blocks) == 0 {
		t.Fatal("the pages have no excerpts")
	}
	for _, b := range blocks {
		rest := "\n" + readText(t, filepath.Join(folder, b[1]))
		for piece := range strings.SplitSeq(b[2], "\n...\n") {
			_, after, ok := strings.Cut(rest, "\n"+piece+"\n")
			if !ok {
				t.Errorf("not in %s:\n%s", b[1], piece)
			}
			rest = "\n" + after
		}
	}
}

// TestAnswersOfThePageAreGiven: what a table between "<!-- answers: NAME.txt -->"
// and "<!-- end -->" has as code in its second column is an answer of that script.
func TestAnswersOfThePageAreGiven(t *testing.T) {
	t.Parallel()
	tables := regexp.MustCompile(`(?s)<!-- answers: (\S+) -->(.*?)<!-- end -->`).FindAllStringSubmatch(readText(t, page)+readText(t, vendorPage), -1)
	if len(tables) == 0 {
		t.Fatal("the pages have no tables of answers")
	}
	code := regexp.MustCompile("`([^`]+)`")
	for _, table := range tables {
		s, err := readScript(filepath.Join(folder, table[1]))
		if err != nil {
			t.Fatal(err)
		}
		var answers strings.Builder
		for _, p := range s.parts {
			answers.WriteString(p.want)
		}
		for row := range strings.Lines(table[2]) {
			cells := strings.Split(strings.TrimSpace(row), "|")
			if len(cells) != 4 {
				continue
			}
			for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
				if !strings.Contains(answers.String(), m[1]+"\n") {
					t.Errorf("%s gives no answer that ends in %q", table[1], m[1])
				}
			}
		}
	}
}

// TestDocumentsNameTestsThatExist: every TestXxx, FuzzXxx and BenchmarkXxx in
// a document is a function of the tree.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	mentioned := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	exists := map[string]bool{}
	mentions := map[string][]string{}
	err := filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // other tests make and remove files meanwhile
		}
		if err != nil {
			return err
		}
		if e.IsDir() {
			if slices.Contains([]string{".git", ".tmp", "testdata", "bin", "node_modules"}, e.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		isTest, isDocument := strings.HasSuffix(path, "_test.go"), strings.HasSuffix(path, ".md")
		if !isTest && !isDocument {
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if isTest {
			for _, m := range declared.FindAllSubmatch(text, -1) {
				exists[string(m[1])] = true
			}
			return err
		}
		for _, name := range mentioned.FindAllString(string(text), -1) {
			mentions[name] = append(mentions[name], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, paths := range mentions {
		if !exists[name] {
			t.Errorf("%s names %s, which does not exist", paths[0], name)
		}
	}
}

// TestEveryRuleHasATest: each row of the tables at the end of the page names a
// script or a test of its rule, and the numbered rules are all there. That
// the names exist is for the tests above.
func TestEveryRuleHasATest(t *testing.T) {
	t.Parallel()
	_, end, ok := strings.Cut(readText(t, page), "## Invariants and where they are tested\n")
	if !ok {
		t.Fatal("the page has lost its last section")
	}
	proof := regexp.MustCompile("`(?:[a-z0-9-]+\\.txt|(?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	rows := 0
	for line := range strings.Lines(end) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[2]) == "Tested by" {
			continue
		}
		rows++
		if !proof.MatchString(cells[2]) {
			t.Errorf("no test is named for the rule %q", strings.TrimSpace(cells[1]))
		}
	}
	if rows < 40 {
		t.Errorf("%d rules have a row: some are gone", rows)
	}
}
