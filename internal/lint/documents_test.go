package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var documentRules = []rule{
	{name: "every exported name has a comment", check: silentNames},
	{name: "links of documents lead somewhere", check: deadLinks},
	{name: "entries of the changelog stand once, under their kind", check: looseEntries},
}

func silentNames(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if f.isTest() || f.isGenerated() {
			continue
		}
		for _, name := range silentIn(f.ast) {
			found = append(found, violation{t.at(f, name.Pos()), f.dir + "." + name.Name, name.Name + " has no comment"})
		}
	}
	return found
}

// silentIn returns the exported names of a file that have no comment.
func silentIn(file *ast.File) []*ast.Ident {
	var silent []*ast.Ident
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			receiver := receiverName(d)
			if d.Name.IsExported() && (receiver == "" || token.IsExported(receiver)) && d.Doc.Text() == "" {
				silent = append(silent, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				silent = append(silent, silentSpec(d, spec)...)
			}
		}
	}
	return silent
}

// silentSpec returns the exported names of one type, or of one line of
// constants or variables, that have no comment. The comment of a group
// documents its constants, its variables, and its aliases, which say more
// where they come from.
func silentSpec(d *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	var silent []*ast.Ident
	switch s := spec.(type) {
	case *ast.TypeSpec:
		said := s.Doc.Text() + s.Comment.Text()
		if !d.Lparen.IsValid() || s.Assign.IsValid() {
			said += d.Doc.Text()
		}
		if s.Name.IsExported() && said == "" {
			silent = append(silent, s.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Doc.Text()+s.Comment.Text()+d.Doc.Text() == "" {
				silent = append(silent, name)
			}
		}
	}
	return silent
}

var (
	codeBlock  = regexp.MustCompile("(?ms)^[ \t]*(```+|~~~+).*?^[ \t]*(```+|~~~+)[ \t]*$")
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	inlineLink = regexp.MustCompile(`\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+["'][^)]*)?\)`)
	namedLink  = regexp.MustCompile(`(?m)^[ ]{0,3}\[[^\]^][^\]]*\]:\s*<?([^\s<>]+)>?`)
	heading    = regexp.MustCompile(`(?m)^#{1,6}[ \t]+(.+?)[ \t]*#*$`)
	scheme     = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// blank replaces all but line ends, so that places stay.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return ' '
	}, s)
}

func deadLinks(t *tree) []violation {
	anchors := map[string][]string{}
	for _, d := range t.docs {
		anchors[d.path] = anchorsOf(d.text)
	}
	var found []violation
	for _, d := range t.docs {
		prose := codeSpan.ReplaceAllStringFunc(codeBlock.ReplaceAllStringFunc(d.text, blank), blank)
		for _, pattern := range []*regexp.Regexp{inlineLink, namedLink} {
			for _, m := range pattern.FindAllStringSubmatchIndex(prose, -1) {
				link := prose[m[2]:m[3]]
				if why := t.deadLink(d.path, link, anchors); why != "" {
					where := fmt.Sprintf("%s:%d", d.path, 1+strings.Count(prose[:m[2]], "\n"))
					found = append(found, violation{where, d.path + " " + link, "link to " + link + ": " + why})
				}
			}
		}
	}
	return found
}

// deadLink says what is wrong with a link, or nothing.
func (t *tree) deadLink(from, link string, anchors map[string][]string) string {
	if scheme.MatchString(link) || strings.HasPrefix(link, "//") {
		return ""
	}
	name, anchor, _ := strings.Cut(link, "#")
	target := from
	if name != "" {
		target = path.Join(path.Dir(from), name)
	}
	switch {
	case strings.HasPrefix(name, "/") || target == ".." || strings.HasPrefix(target, "../"):
		return "outside of the repository"
	case !t.paths[target]:
		return "nothing is there"
	case anchor != "" && strings.HasSuffix(target, ".md") && !slices.Contains(anchors[target], anchor):
		return "no such heading"
	}
	return ""
}

// looseEntries finds entries of the changelog that stand before the first kind
// of their version, or twice in it. The file is merged by union, which brings
// back lines that somebody else has edited or moved.
func looseEntries(t *tree) []violation {
	var found []violation
	for _, d := range t.docs {
		if d.path != "CHANGELOG.md" {
			continue
		}
		kind, seen := "", map[string]bool{}
		for i, line := range strings.Split(d.text, "\n") {
			at := fmt.Sprintf("%s:%d", d.path, i+1)
			switch {
			case strings.HasPrefix(line, "## "):
				kind, seen = "", map[string]bool{}
			case strings.HasPrefix(line, "### "):
				kind = line
				if seen[line] {
					found = append(found, violation{at, line, "the kind stands twice in its version"})
				}
				seen[line] = true
			case strings.HasPrefix(line, "- ") && kind == "":
				found = append(found, violation{at, line, "the entry is of no kind: move it below Added, Changed or Fixed"})
			case strings.HasPrefix(line, "- ") && seen[line]:
				found = append(found, violation{at, line, "the entry stands twice in its version"})
			case strings.HasPrefix(line, "- "):
				seen[line] = true
			}
		}
	}
	return found
}

// anchorsOf returns the names that headings get when Markdown is shown.
func anchorsOf(text string) []string {
	var anchors []string
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllStringFunc(text, blank), -1) {
		title := linkText.ReplaceAllString(m[1], "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, title)
		seen[anchor]++
		if n := seen[anchor]; n > 1 {
			anchor = fmt.Sprintf("%s-%d", anchor, n-1)
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}
