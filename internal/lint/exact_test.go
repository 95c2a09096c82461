package lint

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// exactFolders hold quantities, which are never floats.
var exactFolders = []string{"internal/meter", "internal/ledger", "internal/metering", "internal/records", "internal/rating", "internal/books"}

var exactRules = []rule{
	{name: "no float is near a quantity", check: floats, allowed: map[string]string{
		"internal/meter/value.go float64": "a case for what a decoder of YAML makes of a number; the number is then read from its text",
	}},
}

// floatNames are the ways to a float that do not say so.
var floatNames = map[string]bool{
	"strconv.ParseFloat": true, "strconv.FormatFloat": true, "strconv.AppendFloat": true,
	"math/big.Float": true, "math/big.NewFloat": true, "math/big.ParseFloat": true,
}

// floatMethods give a float of a duration or a big number.
var floatMethods = map[string]bool{"Seconds": true, "Minutes": true, "Hours": true, "Float64": true, "Float32": true}

// wholePower is a literal such as 1e12, which is an integer where one is
// wanted, and a float only where nothing says what it is.
var wholePower = regexp.MustCompile(`^[0-9]+[eE]\+?[0-9]+$`)

func floats(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if !within(f.dir, exactFolders...) || f.isTestSupport() {
			continue
		}
		say := func(n ast.Node, what string) {
			found = append(found, violation{t.at(f, n.Pos()), f.path + " " + what, what + " is or may be a float"})
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				switch n.Name {
				case "float32", "float64", "complex64", "complex128":
					say(n, n.Name)
				}
			case *ast.BasicLit:
				if (n.Kind == token.FLOAT || n.Kind == token.IMAG) && !wholePower.MatchString(n.Value) {
					say(n, n.Value)
				}
			case *ast.AssignStmt:
				for _, value := range n.Rhs {
					if lit, ok := value.(*ast.BasicLit); ok && n.Tok == token.DEFINE && wholePower.MatchString(lit.Value) {
						say(lit, ":= "+lit.Value)
					}
				}
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && floatMethods[s.Sel.Name] && len(n.Args) == 0 {
					say(n, s.Sel.Name+"()")
				}
			}
			return true
		})
		f.eachSelector(func(s *ast.SelectorExpr, name string) {
			if floatNames[name] || floatMath(name) {
				say(s, name)
			}
		})
	}
	return found
}

// floatMath says whether a name of package math is about floats: all are but
// the limits of integers.
func floatMath(name string) bool {
	name, ok := strings.CutPrefix(name, "math.")
	if !ok {
		return false
	}
	for _, limit := range []string{"MaxInt", "MinInt", "MaxUint"} {
		if strings.HasPrefix(name, limit) {
			return false
		}
	}
	return true
}
