package lint

import "go/ast"

var concurrencyRules = []rule{
	{name: "goroutines are jobs, or a call waits for them", check: strayGoroutines, allowed: map[string]string{
		"internal/background.Jobs.Start":                    "it is how jobs are started; Jobs.Stop waits for them",
		"internal/ledger.Ledger.start":                      "appender and fold answer what was accepted: they end with their queue, and Close waits for both",
		"internal/ledger.Ledger.freeze":                     "one checkpoint that is being written; the next one and Close wait for it",
		"internal/ledger.storeWatch.NoRoom":                 "it ends the process; the engine waits for the caller and holds its lock",
		"internal/intake/pipeline.pipe.run":                 "it returns when the queue was closed and each batch of it was answered",
		"internal/intake/pipeline.interruptibleReader.Read": "a read of standard input cannot be interrupted; it ends with the process of the command",
		"client.Client.NewBatcher":                          "the senders of a batcher, whom Batcher.Close waits for; the client imports nothing of ours",
		"cmd/odometer.streamFrom":                           "what writes one stream; closing the stream waits for it",
		"cmd/odometer.openLedger":                           "giving memory back takes a moment, which the fold must not wait for, and touches nothing of ours",
	}},
	{name: "contexts are arguments and no fields", check: contextFields, allowed: map[string]string{
		"internal/intake/pipeline.interruptibleReader": "Read of io.Reader has no context, and what was read lasts from one call to the next",
	}},
}

// strayGoroutines finds functions that start a goroutine, or a worker of a
// group, and do not wait for a group themselves.
func strayGoroutines(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if f.isTestSupport() {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			starts, waits := goroutinesOf(fn.Body)
			if starts != nil && !waits {
				name := f.dir + "." + functionName(fn)
				found = append(found, violation{t.at(f, starts.Pos()), name, functionName(fn) + " starts a goroutine that it does not wait for: make it a job of the package background"})
			}
		}
	}
	return found
}

// goroutinesOf returns the first place where a function starts a goroutine, and
// whether it waits for a group.
func goroutinesOf(body *ast.BlockStmt) (starts ast.Node, waits bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		start := false
		switch n := n.(type) {
		case *ast.GoStmt:
			start = true
		case *ast.CallExpr:
			s, ok := n.Fun.(*ast.SelectorExpr)
			start = ok && s.Sel.Name == "Go" && len(n.Args) == 1
			waits = waits || ok && s.Sel.Name == "Wait" && len(n.Args) == 0
		}
		if start && starts == nil {
			starts = n
		}
		return true
	})
	return starts, waits
}

// contextFields finds contexts that are kept: one belongs to a call, and is its
// argument.
func contextFields(t *tree) []violation {
	var found []violation
	for _, f := range t.gos {
		if f.isTestSupport() {
			continue
		}
		contexts := map[*ast.SelectorExpr]bool{}
		f.eachSelector(func(s *ast.SelectorExpr, name string) {
			if name == "context.Context" {
				contexts[s] = true
			}
		})
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			ast.Inspect(spec.Type, func(n ast.Node) bool {
				structure, ok := n.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range structure.Fields.List {
					if s, ok := field.Type.(*ast.SelectorExpr); ok && contexts[s] {
						found = append(found, violation{t.at(f, field.Pos()), f.dir + "." + spec.Name.Name, spec.Name.Name + " keeps a context"})
					}
				}
				return true
			})
			return true
		})
	}
	return found
}
