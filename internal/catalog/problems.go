package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"odometer/internal/meter"
)

// problem is something wrong at a path such as customers[0].contracts[1].id.
type problem struct {
	path, text string
	first      string // where else that is, "" if nowhere
}

// problems are what is wrong with a document: the first ones, and how many there are.
type problems struct {
	named []problem
	count int
}

func (p *problems) add(path, format string, args ...any) {
	if p.count++; p.count <= MaxProblems {
		p.named = append(p.named, problem{path: path, text: fmt.Sprintf(format, args...)})
	}
}

// addTwice says that a path has what another has already.
func (p *problems) addTwice(path string, what any, first itemPlace) {
	if p.count++; p.count <= MaxProblems {
		p.named = append(p.named, problem{path: path, text: meter.Clip(fmt.Sprint(what)) + " is also that of ", first: first.String()})
	}
}

// with adds what is wrong with the fields that could be read, without what only
// follows from a field that could not. Of a text with more problems than are
// told, it adds nothing: which of them follow cannot be said.
func (p problems) with(checked problems) problems {
	if p.count == 0 {
		return checked
	}
	if p.count > MaxProblems {
		return p
	}
	unread := p.named
	for _, one := range checked.named {
		if slices.ContainsFunc(unread, one.followsFrom) {
			continue
		}
		if p.count++; p.count <= MaxProblems {
			p.named = append(slices.Clip(p.named), one)
		}
	}
	p.count += checked.count - len(checked.named)
	return p
}

// followsFrom says whether a problem may be there only because a field of the
// text was not read: it is of that field or of what is in it, of what is around
// it as a whole, or that a field beside it is missing, as its name may be misspelled.
func (p problem) followsFrom(unread problem) bool {
	rest, inside := strings.CutPrefix(p.path, unread.path)
	around := pathAround(unread.path)
	return inside && (rest == "" || rest[0] == '.' || rest[0] == '[') ||
		p.path == around && unread.text != noSuchField ||
		p.text == isRequired && pathAround(p.path) == around
}

// pathAround is the path of what a field is in.
func pathAround(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

// sort puts the problems in the order of their lines.
func (p problems) sort(lines *lineTree) {
	slices.SortStableFunc(p.named, func(a, b problem) int { return cmp.Compare(lines.of(a.path), lines.of(b.path)) })
}

// What is wrong with a name that no field has, and with a field that is not there.
const (
	noSuchField = "there is no such field"
	isRequired  = "is required"
)

// problemAt is one problem.
func problemAt(path, text string) problems {
	return problems{named: []problem{{path: path, text: text}}, count: 1}
}

// err makes an error of the problems of a text, nil if there are none.
func (p problems) err(lines *lineTree) error {
	return p.render(func(path string) string {
		if n := lines.of(path); n > 0 {
			return fmt.Sprintf("line %d: %s", n, path)
		}
		return path
	}, func(path string) string { return path })
}

// errIn makes an error of the problems of a document, which names nouns where
// the document was not read from a text.
func (p problems) errIn(doc *Document) error {
	if doc.lines != nil {
		return p.err(doc.lines)
	}
	return p.render(doc.named, doc.named)
}

func (p problems) render(at, other func(path string) string) error {
	if p.count == 0 {
		return nil
	}
	var b strings.Builder
	for i, one := range p.named {
		if i > 0 {
			b.WriteByte('\n')
		}
		if place := at(one.path); place != "" {
			b.WriteString(strings.TrimSuffix(place, ": ") + ": ")
		}
		b.WriteString(one.text)
		if one.first != "" {
			b.WriteString(other(one.first))
		}
	}
	if more := p.count - len(p.named); more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return meter.Errorf(meter.KindInvalid, "%s", b.String())
}

// Line returns the line at which the document's text has a path such as
// customers[0].contracts[1], or else what is around it; 0 if the document was
// not read from a text.
func (doc *Document) Line(path string) int { return doc.lines.of(path) }

// lineTree has the lines of a text: of a value and of what is in it.
type lineTree struct {
	line  int
	names []string // of a mapping's members, clipped as in paths; nil for a list
	items []lineTree
}

// of is the line of a path, or of the nearest thing around it.
func (t *lineTree) of(path string) int {
	if t == nil {
		return 0
	}
	if rest, ok := strings.CutPrefix(path, "["); ok {
		number, rest, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(number); err == nil && i < len(t.items) && t.names == nil {
			return t.items[i].of(strings.TrimPrefix(rest, "."))
		}
		return t.line
	}
	for i := len(t.names) - 1; i >= 0; i-- { // where one is given twice, the later is what is wrong
		rest, ok := strings.CutPrefix(path, t.names[i])
		if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return t.items[i].of(strings.TrimPrefix(rest, "."))
		}
	}
	return t.line
}
