package lint

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// module is the path in go.mod.
const module = "odometer"

// tree is the repository as the rules see it.
type tree struct {
	fset  *token.FileSet
	gos   []*goFile
	docs  []*document
	goMod string          // the text of go.mod
	paths map[string]bool // every file and folder, with slashes, from the root
}

// goFile is one parsed source file.
type goFile struct {
	path   string // from the root, with slashes
	dir    string // its folder; "." for the root
	source []byte
	ast    *ast.File
	err    error // from the parser; ast may be partial
}

// document is one Markdown file.
type document struct{ path, text string }

// isTest says whether the file is only part of tests.
func (f *goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// isTestSupport says whether the file is part of tests, or of a package that
// only tests import, such as storetest.
func (f *goFile) isTestSupport() bool {
	return f.isTest() || strings.HasSuffix(f.dir, "test") || within(f.dir, "bench", "compat")
}

// isGenerated says whether a program wrote the file.
func (f *goFile) isGenerated() bool { return ast.IsGenerated(f.ast) }

// within says whether a folder is one of the others or inside one.
func within(dir string, others ...string) bool {
	for _, other := range others {
		if dir == other || strings.HasPrefix(dir, other+"/") {
			return true
		}
	}
	return false
}

// at is a place in a file, as an editor understands it.
func (t *tree) at(f *goFile, pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, t.fset.Position(pos).Line)
}

func newTree() *tree { return &tree{fset: token.NewFileSet(), paths: map[string]bool{".": true}} }

// add parses a file if it is one that rules look at. The repository's folders
// come before what they hold, other callers' sources in any order.
func (t *tree) add(name string, read func() ([]byte, error)) error {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		t.paths[dir] = true
	}
	isGo, isDoc, isMod := strings.HasSuffix(name, ".go"), strings.HasSuffix(name, ".md"), name == "go.mod"
	if !isGo && !isDoc && !isMod {
		return nil
	}
	source, err := read()
	if err != nil {
		return err
	}
	if isMod {
		t.goMod = string(source)
		return nil
	}
	if isDoc {
		t.docs = append(t.docs, &document{name, string(source)})
		return nil
	}
	f := &goFile{path: name, dir: path.Dir(name), source: source}
	f.ast, f.err = parser.ParseFile(t.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	t.gos = append(t.gos, f)
	return nil
}

// skipped are folders that hold nothing of ours to judge.
var skipped = map[string]bool{"testdata": true, "node_modules": true, "bin": true, "dist": true}

// load reads the repository around this package, once.
var load = sync.OnceValues(func() (*tree, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	t := newTree()
	err = filepath.WalkDir(root, func(full string, e fs.DirEntry, err error) error {
		// Other tests may be making and removing files meanwhile.
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if e.IsDir() {
			t.paths[name] = true
			if name != "." && (strings.HasPrefix(e.Name(), ".") || skipped[e.Name()]) {
				return fs.SkipDir
			}
			return nil
		}
		return t.add(name, func() ([]byte, error) { return os.ReadFile(full) })
	})
	return t, err
})

// findRoot returns the folder of go.mod.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module "+module+"\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod of this module above the working folder")
		}
		dir = parent
	}
}
