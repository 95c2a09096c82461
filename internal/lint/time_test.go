package lint

import (
	"go/ast"
	"go/token"
)

const measuring = "it measures a server by the machine's clock"

var timeRules = []rule{
	{name: "time is a parameter", check: clocks, allowed: map[string]string{
		"internal/ledger/ledger.go default":     "the clock of a ledger that is opened without one",
		"internal/httpserver/server.go default": "the clock of a server that is made without one",
		"internal/loadgen/ceiling.go":           measuring,
		"internal/loadgen/queries.go":           measuring,
		"internal/loadgen/send.go":              measuring,
		"internal/loadgen/surfaces.go":          measuring,
	}},
	{name: "time zones are the embedded ones", check: machineZones},
	{name: "no test sleeps", check: sleeps},
	{name: "no test is skipped", check: skips},
}

// clockNames read the machine's clock.
var clockNames = map[string]bool{"time.Now": true, "time.Since": true, "time.Until": true}

func clocks(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if !within(f.dir, "internal") || f.isTestSupport() {
			continue
		}
		defaults := defaultClocks(f.ast)
		f.eachSelector(func(s *ast.SelectorExpr, name string) {
			if !clockNames[name] {
				return
			}
			key := f.path
			if defaults[s] {
				key += " default"
			}
			found = append(found, violation{t.at(f, s.Pos()), key, "uses " + name + " and not a clock that it is given"})
		})
	}
	return found
}

// zoneNames depend on the machine's zones, or read local times by a rule of
// their own; see meter.LoadZone and meter.LocalTime.
var zoneNames = map[string]bool{"time.LoadLocation": true, "time.ParseInLocation": true, "time.Local": true}

func machineZones(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if f.isTestSupport() {
			continue
		}
		f.eachSelector(func(s *ast.SelectorExpr, name string) {
			if zoneNames[name] {
				found = append(found, violation{t.at(f, s.Pos()), f.path, "uses " + name + " and not the embedded zones of internal/meter"})
			}
		})
	}
	return found
}

// defaultClocks finds what is assigned, not called, as the only statement
// under a condition: if clock == nil { clock = time.Now }.
func defaultClocks(file *ast.File) map[ast.Expr]bool {
	found := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.IfStmt)
		if !ok || len(s.Body.List) != 1 {
			return true
		}
		test, isTest := s.Cond.(*ast.BinaryExpr)
		set, isSet := s.Body.List[0].(*ast.AssignStmt)
		if isTest && isSet && test.Op == token.EQL && len(set.Rhs) == 1 {
			found[set.Rhs[0]] = true
		}
		return true
	})
	return found
}

func sleeps(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if !f.isTestSupport() {
			continue
		}
		f.eachSelector(func(s *ast.SelectorExpr, name string) {
			if name == "time.Sleep" {
				found = append(found, violation{t.at(f, s.Pos()), f.path, "sleeps: wait for a signal"})
			}
		})
	}
	return found
}

// skips finds t.Skip and its like, on the names that tests give to their
// *testing.T, B and F.
func skips(t *tree) []violation {
	receivers := map[string]bool{"t": true, "b": true, "f": true, "tb": true}
	var found []violation
	for _, f := range t.gos {
		if !f.isTestSupport() {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := s.X.(*ast.Ident)
				if ok && receivers[x.Name] && (s.Sel.Name == "Skip" || s.Sel.Name == "Skipf" || s.Sel.Name == "SkipNow") {
					found = append(found, violation{t.at(f, s.Pos()), f.dir + "." + functionName(fn), functionName(fn) + " may be skipped"})
				}
				return true
			})
		}
	}
	return found
}
