package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"path"
)

// What is too large.
const (
	maxFileLines        = 500
	maxFunctionLines    = 80
	maxInterfaceMethods = 8
)

var shapeRules = []rule{
	{name: "packages are named for what they provide", check: emptyNames},
	{name: "files are short", check: longFiles},
	{name: "functions are short", check: longFunctions},
	{name: "interfaces are small", check: largeInterfaces},
}

// emptyWords name packages that could hold anything.
var emptyWords = map[string]bool{
	"util": true, "utils": true, "common": true, "model": true, "models": true, "types": true,
	"helper": true, "helpers": true, "misc": true, "shared": true,
}

func emptyNames(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if name := f.ast.Name; emptyWords[name.Name] || emptyWords[path.Base(f.dir)] {
			found = append(found, violation{f.path, f.dir, "the package's name says nothing"})
		}
	}
	return found
}

func longFiles(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if lines := bytes.Count(f.source, []byte("\n")); lines > maxFileLines && !f.isGenerated() {
			found = append(found, violation{f.path, f.path, fmt.Sprintf("%d lines, more than %d", lines, maxFileLines)})
		}
	}
	return found
}

func longFunctions(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.isGenerated() {
				continue
			}
			lines := t.fset.Position(fn.End()).Line - t.fset.Position(fn.Pos()).Line + 1
			if lines > maxFunctionLines {
				name := functionName(fn)
				found = append(found, violation{t.at(f, fn.Pos()), f.dir + "." + name, fmt.Sprintf("%s has %d lines, more than %d", name, lines, maxFunctionLines)})
			}
		}
	}
	return found
}

// functionName is NAME, or TYPE.NAME for a method.
func functionName(fn *ast.FuncDecl) string {
	if receiver := receiverName(fn); receiver != "" {
		return receiver + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiverName is the type that a method belongs to; "" for a function.
func receiverName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func largeInterfaces(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			// An embedded interface counts as one.
			if i, ok := spec.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxInterfaceMethods {
				found = append(found, violation{t.at(f, spec.Pos()), f.dir + "." + spec.Name.Name,
					fmt.Sprintf("interface %s has %d methods, more than %d", spec.Name.Name, i.Methods.NumFields(), maxInterfaceMethods)})
			}
			return true
		})
	}
	return found
}
