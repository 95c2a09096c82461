package lint

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// importTable says which of our packages the ones in a folder may import; the
// row of the innermost folder counts. A package may always import what lies
// in folders below it. "..." takes the folders below too, "*" is everything.
// Tests are free, but for the rules further down.
//
// Surfaces use the words of the pure rooms as they are: meter, access, billing, books, catalog (nouns;
// no surface has a store to read) and cloudevents (how a request holds events).
var importTable = map[string][]string{
	"internal/strictjson":      {},
	"internal/csvtext":         {},
	"internal/fixedtest":       {},
	"internal/background":      {},
	"internal/share":           {"internal/meter"},
	"internal/meter":           {"internal/strictjson"},
	"internal/ledger":          {"internal/meter", "internal/background", "internal/share", "internal/ledger/..."},
	"internal/ledger/block":    {"internal/meter"},
	"internal/ledger/disk":     {"internal/meter"},
	"internal/ledger/log":      {"internal/meter", "internal/ledger/block", "internal/ledger/disk"},
	"internal/rating":          {"internal/meter"},
	"internal/cloudevents":     {"internal/meter", "internal/ledger/block"},
	"internal/access":          {"internal/meter"},
	"internal/billing":         {"internal/meter"},
	"internal/books":           {"internal/meter"},
	"internal/catalog":         {"internal/meter", "internal/strictjson"},
	"internal/store":           {"internal/meter", "internal/background", "internal/catalog"},
	"internal/store/checksum":  {"internal/meter"},
	"internal/store/keys":      {"internal/meter", "internal/access", "internal/catalog", "internal/store", "internal/store/sqlfile"},
	"internal/store/records":   {"internal/meter", "internal/billing", "internal/catalog", "internal/store", "internal/store/sqlfile"},
	"internal/store/storetest": {"internal/meter", "internal/access", "internal/billing", "internal/catalog", "internal/store/...", "internal/fixedtest"},
	"internal/metering":        {"internal/meter", "internal/background", "internal/ledger/...", "internal/access", "internal/books", "internal/catalog", "internal/store", "internal/store/keys", "internal/cloudevents", "internal/share"},
	// These two know what they keep by interfaces of their own, and the rooms beside them too.
	"internal/records":     {"internal/meter", "internal/ledger", "internal/ledger/block", "internal/access", "internal/billing", "internal/catalog", "internal/cloudevents", "internal/rating", "internal/share"},
	"internal/marketplace": {"internal/meter", "internal/access", "internal/billing", "internal/catalog", "internal/rating"},
	// What is sent and what is simulated knows nothing of what decides.
	"internal/marketplace/sender":    {"internal/meter"},
	"internal/marketplace/simulator": {"internal/meter"},
	"internal/httpserver":            {"internal/meter", "internal/access", "internal/share"}, // and not metering: it declares what it calls
	"internal/figures":               {"internal/metering"},
	"internal/surface":               {"internal/meter", "internal/access", "internal/billing", "internal/books", "internal/catalog", "internal/cloudevents", "internal/metering", "internal/records", "internal/httpserver", "internal/strictjson", "internal/csvtext"},
	"internal/surface/surfacetest":   {"internal/meter", "internal/cloudevents", "internal/ledger", "internal/access", "internal/catalog", "internal/store", "internal/store/keys", "internal/store/records", "internal/metering", "internal/records", "internal/figures", "internal/httpserver", "internal/fixedtest"},
	"internal/console":               {},
	"internal/intake":                {"internal/meter"},
	"internal/intake/intaketest":     {},
	"internal/intake/pipeline":       {"internal/intake"},
	"internal/loadgen":               {"client", "internal/meter", "internal/surface/akamai/edgegrid"},
	"internal/lint":                  {},
	"client":                         {},
	"cmd":                            {"*"},
	"bench":                          {"*"},
	"compat":                         {"*"},
	"scripts":                        {},
	// Who folds and who checks the fold share the form of what is kept, and nothing else.
	"internal/ledger/state":  {"internal/meter", "internal/ledger/block", "internal/ledger/cell", "internal/ledger/disk", "internal/ledger/idset", "internal/ledger/log"},
	"internal/ledger/verify": {"internal/meter", "internal/ledger/block", "internal/ledger/cell", "internal/ledger/disk", "internal/ledger/idset", "internal/ledger/log", "internal/ledger/state"},
}

var importRules = []rule{
	{name: "packages import what the table says", check: importsOutsideTable},
	{name: "no surface imports another", check: surfaceImports},
	{name: "no name is another room's by a second name", check: aliases, allowed: map[string]string{}},
	{name: "only the ledger names Pebble", check: pebbleImports},
	{name: "only the store writes SQL", check: sqlOutsideStore},
	{name: "no store imports HTTP", check: httpInStores},
	{name: "only cmd reads flags and environment", check: settingsOutsideCmd},
}

// eachImport visits the imports of all files.
func (t *tree) eachImport(visit func(f *goFile, imported, where string)) {
	for _, f := range t.gos {
		for _, spec := range f.ast.Imports {
			visit(f, strings.Trim(spec.Path.Value, "`\""), t.at(f, spec.Pos()))
		}
	}
}

// row returns the import table's row for a folder.
func row(dir string) (allowed []string, home string, ok bool) {
	for home = dir; home != "."; home = path.Dir(home) {
		if allowed, ok = importTable[home]; ok {
			return allowed, home, true
		}
	}
	return nil, "", false
}

func importsOutsideTable(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if _, _, ok := row(f.dir); !ok && !f.isTest() {
			found = append(found, violation{f.path, f.dir, "the folder has no row in the import table of internal/lint"})
		}
	}
	t.eachImport(func(f *goFile, imported, where string) {
		target, ours := strings.CutPrefix(imported, module+"/")
		if !ours || f.isTest() {
			return
		}
		allowed, home, ok := row(f.dir)
		if !ok || mayImport(allowed, home, f.dir, target) {
			return
		}
		found = append(found, violation{where, f.dir + " -> " + target, f.dir + " may not import " + target})
	})
	return found
}

func mayImport(allowed []string, home, dir, target string) bool {
	// A package of tests next to what it tests, such as postgrestest.
	if within(target, dir) || strings.HasSuffix(dir, "test") && target == path.Dir(dir) {
		return true
	}
	for _, a := range allowed {
		folder, below := strings.CutSuffix(a, "/...")
		if a == "*" || target == a || below && within(target, folder) {
			return true
		}
	}
	// internal/surface/NAME/wire and internal/surface/NAME are one surface.
	return home == "internal/surface" && surface(dir) != "" && surface(dir) == surface(target)
}

// surface is the name of the surface that a folder belongs to, if any.
func surface(dir string) string {
	rest, ok := strings.CutPrefix(dir, "internal/surface/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	if name == "surfacetest" { // the world of their tests, which they share
		return ""
	}
	return name
}

// aliases finds declarations that give a type, constant or variable of another
// of our packages a second name: it is called by its own, where it is at home.
func aliases(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if f.isTest() || f.isGenerated() {
			continue
		}
		imports := ourImports(f)
		note := func(name *ast.Ident, value ast.Expr) {
			s, ok := value.(*ast.SelectorExpr)
			if !ok || !token.IsExported(name.Name) {
				return
			}
			if from, ok := s.X.(*ast.Ident); ok && imports[from.Name] {
				found = append(found, violation{t.at(f, name.Pos()), f.dir + "." + name.Name, name.Name + " is " + from.Name + "." + s.Sel.Name})
			}
		}
		for _, d := range f.ast.Decls {
			general, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Assign.IsValid() {
						note(s.Name, s.Type)
					}
				case *ast.ValueSpec:
					for i, value := range s.Values {
						note(s.Names[i], value)
					}
				}
			}
		}
	}
	return found
}

// ourImports are the names by which a file calls packages of this module.
func ourImports(f *goFile) map[string]bool {
	out := map[string]bool{}
	for _, spec := range f.ast.Imports {
		target, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, "`\""), module+"/")
		switch {
		case !ours:
		case spec.Name != nil:
			out[spec.Name.Name] = true
		default:
			out[path.Base(target)] = true
		}
	}
	return out
}

func surfaceImports(t *tree) []violation {
	var found []violation
	t.eachImport(func(f *goFile, imported, where string) {
		mine, other := surface(f.dir), surface(strings.TrimPrefix(imported, module+"/"))
		if mine != "" && other != "" && mine != other {
			found = append(found, violation{where, f.path, "a surface imports another: " + imported})
		}
	})
	return found
}

func pebbleImports(t *tree) []violation {
	var found []violation
	t.eachImport(func(f *goFile, imported, where string) {
		if strings.HasPrefix(imported, "github.com/cockroachdb/pebble") && !within(f.dir, "internal/ledger") {
			found = append(found, violation{where, f.path, "imports " + imported})
		}
	})
	return found
}

func sqlOutsideStore(t *tree) []violation {
	var found []violation
	t.eachImport(func(f *goFile, imported, where string) {
		if within(imported, "database/sql") && !within(f.dir, "internal/store") && !f.isTest() {
			found = append(found, violation{where, f.path, "imports " + imported})
		}
	})
	return found
}

func httpInStores(t *tree) []violation {
	var found []violation
	t.eachImport(func(f *goFile, imported, where string) {
		if within(imported, "net/http") && within(f.dir, "internal/meter", "internal/ledger", "internal/cloudevents", "internal/catalog", "internal/store") {
			found = append(found, violation{where, f.path, "imports " + imported})
		}
	})
	return found
}

// settings are the functions and variables that bring settings in from outside.
var settings = map[string]bool{"os.Getenv": true, "os.LookupEnv": true, "os.Environ": true, "os.ExpandEnv": true, "os.Args": true}

func settingsOutsideCmd(t *tree) []violation {
	var found []violation
	t.eachImport(func(f *goFile, imported, where string) {
		if (imported == "flag" || imported == "github.com/alecthomas/kong") && !within(f.dir, "cmd") && !f.isTestSupport() {
			found = append(found, violation{where, f.path, "imports " + imported})
		}
	})
	for _, f := range t.gos {
		if within(f.dir, "cmd") || f.isTestSupport() {
			continue
		}
		f.eachSelector(func(s *ast.SelectorExpr, name string) {
			if settings[name] {
				found = append(found, violation{t.at(f, s.Pos()), f.path, "uses " + name})
			}
		})
	}
	return found
}

// eachSelector visits each name of another package that the file uses, as
// PACKAGE.NAME with the package's own path and not what the file calls it.
func (f *goFile) eachSelector(visit func(s *ast.SelectorExpr, name string)) {
	called := map[string]string{}
	for _, spec := range f.ast.Imports {
		imported := strings.Trim(spec.Path.Value, "`\"")
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		called[name] = imported
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok {
			if imported, ok := called[x.Name]; ok {
				visit(s, imported+"."+s.Sel.Name)
			}
		}
		return true
	})
}
