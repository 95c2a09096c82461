package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// broken are sources that break one rule each, and sources that look as if
// they did. A file's name is its folder and x.go unless it has an ending.
var broken = []struct {
	rule   string
	files  map[string]string
	expect []string // path:line of each violation
}{
	{"every file parses", map[string]string{"internal/meter": "package meter\nfunc {"}, []string{"internal/meter/x.go"}},

	{"packages import what the table says", map[string]string{
		"internal/meter":                    `import _ "odometer/internal/ledger"`,
		"internal/ledger":                   `import ( _ "odometer/internal/meter"; _ "odometer/internal/ledger/block"; _ "fmt" )`,
		"internal/ledger/block":             `import _ "odometer/internal/ledger/cell"`,
		"internal/ledger/cell":              `import _ "odometer/internal/ledger/block"`,
		"internal/catalog":                  `import _ "odometer/internal/metering"`,
		"internal/store/storetest":          `import _ "odometer/internal/catalog"`,
		"internal/cloudevents":              `import _ "odometer/internal/ledger"`,
		"internal/metering":                 `import _ "odometer/internal/httpserver"`,
		"internal/httpserver":               `import ( _ "odometer/internal/access"; _ "odometer/internal/metering" )`,
		"internal/surface/fastly":           `import ( _ "odometer/internal/surface/fastly/wire"; _ "odometer/internal/catalog"; _ "odometer/internal/ledger" )`,
		"internal/surface/fastly/wire":      `import _ "odometer/internal/meter"`,
		"internal/meterlike":                `import _ "odometer/internal/meter"`,
		"internal/meter/outside_test.go":    `import _ "odometer/internal/ledger"`,
		"client":                            `import _ "odometer/internal/meter"`,
		"cmd/odometer":                      `import _ "odometer/internal/ledger"`,
		"internal/surface/akamai/x_test.go": `import _ "odometer/internal/ledger"`,
	}, []string{
		"client/x.go:2", "internal/catalog/x.go:2", "internal/cloudevents/x.go:2", "internal/httpserver/x.go:2", "internal/ledger/block/x.go:2",
		"internal/meter/x.go:2", "internal/metering/x.go:2", "internal/meterlike/x.go", "internal/surface/fastly/x.go:2",
	}},
	{"no surface imports another", map[string]string{
		"internal/surface/fastly":           `import _ "odometer/internal/surface/akamai/wire"`,
		"internal/surface/akamai/x_test.go": `import _ "odometer/internal/surface/fastly"`,
		"internal/surface/suger":            `import _ "odometer/internal/surface/suger/wire"`,
	}, []string{"internal/surface/akamai/x_test.go:2", "internal/surface/fastly/x.go:2"}},
	{"no name is another room's by a second name", map[string]string{
		"internal/metering": "import \"odometer/internal/meter\"\ntype Meter = meter.Meter\ntype Mine meter.Meter\nconst Limit = meter.Limit",
		"internal/rating":   "import \"odometer/internal/meter\"\nvar Zero = meter.Zero()\nvar zero = meter.None",
		"internal/catalog":  "import \"time\"\ntype Time = time.Time",
	}, []string{"internal/metering/x.go:3", "internal/metering/x.go:5"}},
	{"only the ledger names Pebble", map[string]string{
		"internal/ledger/idset": `import _ "github.com/cockroachdb/pebble/v2/vfs"`,
		"internal/ledgers":      `import _ "github.com/cockroachdb/pebble/v2"`,
		"cmd/odometer":          `import _ "github.com/cockroachdb/pebble/v2"`,
	}, []string{"cmd/odometer/x.go:2", "internal/ledgers/x.go:2"}},
	{"only the store writes SQL", map[string]string{
		"internal/store/keys":         `import _ "database/sql"`,
		"internal/catalog":            `import _ "database/sql"`,
		"internal/metering/x_test.go": `import _ "database/sql"`,
	}, []string{"internal/catalog/x.go:2"}},
	{"no store imports HTTP", map[string]string{
		"internal/ledger/block": `import _ "net/http"`,
		"internal/store":        `import _ "net/http/httptest"`,
		"internal/httpserver":   `import _ "net/http"`,
		"internal/meter":        `import _ "net/url"`,
	}, []string{"internal/ledger/block/x.go:2", "internal/store/x.go:2"}},
	{"only cmd reads flags and environment", map[string]string{
		"internal/catalog":          `import "os"` + "\nvar _ = os.Getenv(\"X\")\nvar _ = os.Getpid()",
		"internal/meter":            `import sys "os"` + "\nvar _ = sys.Args",
		"internal/metering":         `import _ "flag"`,
		"client":                    `import _ "github.com/alecthomas/kong"`,
		"cmd/odometer":              `import ( _ "flag"; "os" )` + "\nvar _ = os.Args",
		"internal/ledger/x_test.go": `import _ "flag"`,
		"internal/store/storetest":  `import _ "flag"`,
		"internal/httpserver":       "var os struct{ Args int }\nvar _ = os.Args",
	}, []string{"client/x.go:2", "internal/catalog/x.go:3", "internal/meter/x.go:3", "internal/metering/x.go:2"}},

	{"packages are named for what they provide", map[string]string{
		"internal/util": "", "internal/types/x.go": "package other", "internal/a/x.go": "package helpers", "internal/commonality": "",
	}, []string{"internal/a/x.go", "internal/types/x.go", "internal/util/x.go"}},
	{"files are short", map[string]string{
		"a": lines("", maxFileLines-1), "b": lines("", maxFileLines), "c/x.go": "// Code generated by hand. DO NOT EDIT.\n" + lines("package c", maxFileLines),
	}, []string{"b/x.go"}},
	{"functions are short", map[string]string{
		"a": lines("func (t *T[K]) f() {", maxFunctionLines-2) + "\n}", "b": lines("func (t *T[K]) f() {", maxFunctionLines-1) + "\n}",
	}, []string{"b/x.go:2"}},
	{"no module is older than its last known vulnerability", map[string]string{
		"go.mod": "module x\n\nrequire (\n\tgithub.com/jackc/pgx/v5 v5.12.9\n\tgolang.org/x/net v0.38.0 // indirect\n)\nrequire golang.org/x/crypto v0.45.0-rc.1\n",
	}, []string{"go.mod:4", "go.mod:7"}},
	{"interfaces are small", map[string]string{
		"a": "type I interface { A(); B(); C(); D(); E(); F(); G(); H() }", "b": "type I interface { A(); B(); C(); D(); E(); F(); G(); H(); J }",
	}, []string{"b/x.go:2"}},

	{"every exported name has a comment", map[string]string{
		"a":           "func F() {}\ntype T struct{ A int }\nfunc (T) M() {}\nfunc (t) M() {}\ntype t int\nfunc f() {}\nvar A, b int\nconst (\n\tC = 1 // C is.\n\tD = 2\n)",
		"b":           "// F does.\nfunc F() {}\n// T is.\ntype T int\n// M does.\nfunc (*T) M() {}\n// All.\nconst (\n\tC = 1\n\tD = 2\n)\n// Names.\ntype (\n\tX = int\n\tY int\n)",
		"c/x_test.go": "func F() {}",
	}, []string{"a/x.go:11", "a/x.go:2", "a/x.go:3", "a/x.go:4", "a/x.go:8", "b/x.go:16"}},
	{"links of documents lead somewhere", map[string]string{
		"README.md": "[a](docs/a.md) [b](docs/b.md)\n[c](docs/a.md#two-words) [d](docs/a.md#three)\n[e](#top) [f](https://x/y) ![g](g.png \"G\")\n" +
			"`[code](nowhere)`\n```\n[code](nowhere)\n```\n[docs](docs/) [up](../x) [abs](/etc)\n[ref]: nowhere.md\n# Top",
		"docs/a.md": "[back](../README.md#top)\n\n## Two *words*\n",
	}, []string{"README.md:1", "README.md:2", "README.md:3", "README.md:8", "README.md:8", "README.md:9"}},
	{"entries of the changelog stand once, under their kind", map[string]string{
		"CHANGELOG.md": "# C\n\n## 0.2.0\n- a\n### Added\n- b\n- b\n### Fixed\n- c\n### Added\n## 0.1.0\n### Added\n- b\n",
		"docs/a.md":    "- a\n- a\n",
	}, []string{"CHANGELOG.md:10", "CHANGELOG.md:4", "CHANGELOG.md:7"}},

	{"no float is near a quantity", map[string]string{
		"internal/meter":            "import \"math\"\nvar a float64\nvar b = 1.5\nvar c = math.MaxInt64\nvar d = math.Floor\nconst e uint64 = 1e12\nfunc f() { g := 1e12; _ = g }",
		"internal/ledger/cell":      "import ( \"strconv\"; \"time\" )\nvar a, _ = strconv.ParseFloat(\"\", 64)\nvar b = time.Second.Seconds()\nvar c, _ = strconv.ParseInt(\"\", 10, 64)",
		"internal/meter/x_test.go":  "var a float64",
		"internal/httpserver":       "var a float64",
		"internal/metering/big":     "import \"math/big\"\nvar a big.Float\nvar b big.Int",
		"internal/metering/text.go": "// float64 in words\nvar a = \"float64 1.5\"",
	}, []string{
		"internal/ledger/cell/x.go:3", "internal/ledger/cell/x.go:4", "internal/meter/x.go:3", "internal/meter/x.go:4", "internal/meter/x.go:6",
		"internal/meter/x.go:8", "internal/metering/big/x.go:3",
	}},

	{"time is a parameter", map[string]string{
		"internal/meter":           "import \"time\"\nvar a = time.Now()\nvar b = time.Since(a)\nvar c = time.Second",
		"internal/ledger":          "import clock \"time\"\nfunc f() { if now == nil { now = clock.Now } }",
		"internal/meter/x_test.go": "import \"time\"\nvar a = time.Now()",
		"cmd/odometer":             "import \"time\"\nvar a = time.Now",
	}, []string{"internal/ledger/x.go:3", "internal/meter/x.go:3", "internal/meter/x.go:4"}},
	{"time zones are the embedded ones", map[string]string{
		"cmd/odometer":             "import \"time\"\nvar a, _ = time.LoadLocation(\"\")\nvar b = time.UTC",
		"client":                   "import \"time\"\nvar a = time.Local",
		"internal/meter/x_test.go": "import \"time\"\nvar a, _ = time.LoadLocation(\"\")",
	}, []string{"client/x.go:3", "cmd/odometer/x.go:3"}},
	{"no test sleeps", map[string]string{
		"internal/meter/x_test.go": "import \"time\"\nfunc f() { time.Sleep(1) }",
		"internal/store/storetest": "import \"time\"\nvar f = time.Sleep",
		"internal/ledger":          "import \"time\"\nfunc f() { time.Sleep(1) }",
	}, []string{"internal/meter/x_test.go:3", "internal/store/storetest/x.go:3"}},
	{"goroutines are jobs, or a call waits for them", map[string]string{
		"internal/ledger":          "func (l *L) start() { go f() }\nfunc g() { w.Go(f) }\nfunc h() { w.Go(f); w.Wait() }\nfunc i() { go func() { c() }(); w.Wait() }",
		"internal/store":           "func f() { jobs.Start(ctx, g) }\nvar h = func() { x.Go(a, b) }",
		"internal/store/storetest": "func f() { go g() }",
		"cmd/odometer/x_test.go":   "func f() { go g() }",
	}, []string{"internal/ledger/x.go:2", "internal/ledger/x.go:3"}},
	{"contexts are arguments and no fields", map[string]string{
		"internal/ledger":          "import \"context\"\ntype a struct { c context.Context }\ntype b struct { context.Context }\ntype c func(context.Context)\ntype d struct { f func(context.Context) }",
		"internal/store":           "import other \"context\"\ntype a struct { in []struct { c other.Context } }\ntype b struct { end other.CancelFunc }",
		"internal/store/storetest": "import \"context\"\ntype a struct { c context.Context }",
	}, []string{"internal/ledger/x.go:3", "internal/ledger/x.go:4", "internal/store/x.go:3"}},
	{"no test is skipped", map[string]string{
		"internal/meter/x_test.go": "func f(t *testing.T) { t.Skip() }\nfunc g(b *testing.B) { b.Run(\"\", func(b *testing.B) { b.Skipf(\"\") }) }\nfunc h() { reader.Skip() }",
	}, []string{"internal/meter/x_test.go:2", "internal/meter/x_test.go:3"}},
}

// lines is a text and n line ends.
func lines(text string, n int) string { return text + strings.Repeat("\n", n) }

// sourceTree makes a tree of sources; those without a package clause get one,
// so that what they hold starts in line 2.
func sourceTree(t *testing.T, files map[string]string) *tree {
	t.Helper()
	tree := newTree()
	for name, text := range files {
		if !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".md") && name != "go.mod" {
			name += "/x.go"
		}
		if strings.HasSuffix(name, ".go") && !strings.Contains(text, "package ") {
			dir := strings.Split(name, "/")
			text = "package " + dir[len(dir)-2] + "\n" + text
		}
		if err := tree.add(name, func() ([]byte, error) { return []byte(text), nil }); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func TestRulesFindWhatBreaksThem(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, c := range broken {
		tested[c.rule] = true
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
			if i < 0 {
				t.Fatal("there is no such rule")
			}
			var got []string
			for _, v := range rules[i].check(sourceTree(t, c.files)) {
				got = append(got, v.where)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.expect) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.expect, "\n"))
			}
		})
	}
	for _, r := range rules {
		if !tested[r.name] {
			t.Errorf("no source breaks the rule %q", r.name)
		}
	}
}

func TestAllowListsExcuseOnlyWhatTheyName(t *testing.T) {
	t.Parallel()
	r := rule{name: "r", check: func(*tree) []violation { return []violation{{"a.go:1", "a.go", "bad"}, {"b.go:1", "b.go", "bad"}} }}
	for _, c := range []struct {
		allowed map[string]string
		expect  string
	}{
		{nil, "[a.go b.go]"},
		{map[string]string{"a.go": "it has to be"}, "[b.go]"},
		{map[string]string{"a.go": "it has to be", "c.go": "it was once so"}, "[b.go c.go]"},
		{map[string]string{"a.go": "", "b.go": "it has to be"}, "[a.go]"},
	} {
		r.allowed = c.allowed
		var keys []string
		for _, v := range r.violations(newTree()) {
			keys = append(keys, v.key)
		}
		slices.Sort(keys)
		if got := fmt.Sprint(keys); got != c.expect {
			t.Errorf("%v: %s, want %s", c.allowed, got, c.expect)
		}
	}
}
