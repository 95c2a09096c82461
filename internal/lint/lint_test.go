package lint

import (
	"slices"
	"strings"
	"testing"
)

// violation is one breach of a rule.
type violation struct {
	where string // path:line, or a path
	key   string // what an allow-list calls it
	text  string
}

// rule is one thing that holds everywhere.
type rule struct {
	name    string
	check   func(t *tree) []violation
	allowed map[string]string // key of a violation that is meant -> why
}

// rules is all of them.
var rules = slices.Concat(
	[]rule{{name: "every file parses", check: unparsed}},
	importRules, shapeRules, documentRules, exactRules, timeRules, concurrencyRules, moduleRules,
)

func TestRepository(t *testing.T) {
	t.Parallel()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range r.violations(tree) {
				t.Errorf("%s: %s", v.where, v.text)
			}
		})
	}
}

// violations returns what the allow-list does not excuse, and what of it excuses nothing.
func (r rule) violations(tree *tree) []violation {
	var found []violation
	excused := map[string]bool{}
	for _, v := range r.check(tree) {
		if _, ok := r.allowed[v.key]; ok {
			excused[v.key] = true
			continue
		}
		found = append(found, v)
	}
	for key, reason := range r.allowed {
		if !excused[key] {
			found = append(found, violation{"internal/lint", key, "the allow-list of \"" + r.name + "\" excuses " + key + ", which is no violation"})
		}
		if len(strings.Fields(reason)) < 3 {
			found = append(found, violation{"internal/lint", key, "the allow-list of \"" + r.name + "\" has no reason for " + key})
		}
	}
	return found
}

func unparsed(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if f.err != nil {
			found = append(found, violation{f.path, f.path, f.err.Error()})
		}
	}
	return found
}
