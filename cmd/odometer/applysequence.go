package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"odometer/client"
	"odometer/internal/catalog"
)

// documentSequence is a file of several documents, which are applied one after
// another: what an export of a large catalog is. One of them is held at a time.
type documentSequence struct {
	name  string
	file  io.ReadSeeker
	close func()
}

// openSequence opens a file if it has several documents; nil if it has not, or
// cannot be read, which reading it as one document tells. Standard input is read
// to its end for it, and can be read again.
func openSequence(env *Env, name string) (*documentSequence, error) {
	s := &documentSequence{name: name, close: func() {}}
	if name == "-" {
		if err := s.keep(env); err != nil {
			return nil, err
		}
	} else {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			return nil, nil
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, nil
		}
		s.file, s.close = f, func() { _ = f.Close() }
	}
	documents, n := catalog.NewDocuments(s.file), 0
	var err error
	for ; n < 2 && err == nil; n++ {
		_, _, err = documents.Next()
	}
	if err != nil {
		s.close()
		return nil, nil
	}
	return s, nil
}

// keep reads standard input, what is larger than a document to a file.
func (s *documentSequence) keep(env *Env) error {
	text, err := io.ReadAll(io.LimitReader(env.Stdin, catalog.MaxDocumentBytes+1))
	if err != nil {
		return err
	}
	rest := env.Stdin
	env.Stdin = bytes.NewReader(text)
	if s.file = bytes.NewReader(text); len(text) <= catalog.MaxDocumentBytes {
		return nil
	}
	f, err := os.CreateTemp("", "odometer-apply-")
	if err != nil {
		return err
	}
	s.file, s.close = f, func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }
	if _, err = io.Copy(f, io.MultiReader(bytes.NewReader(text), rest)); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		s.close()
	}
	return err
}

// each calls do with each document, its number, and the line at which it begins.
func (s *documentSequence) each(ctx context.Context, do func(n, line int, text []byte) error) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	documents := catalog.NewDocuments(s.file)
	for n := 1; ; n++ {
		text, line, err := documents.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = do(n, line, text)
		}
		if err != nil {
			return err
		}
	}
}

// apply checks all documents by themselves, and then applies each.
func (s *documentSequence) apply(ctx context.Context, env *Env, c *applyCmd, o client.ApplyOptions) error {
	if c.DryRun || c.Prune {
		return usageErrorf("%s has several documents, which are applied one after another: --dry-run and --prune take one document", s.name)
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	last := 0
	err = s.each(ctx, func(n, line int, text []byte) error {
		last = n
		if _, err := catalog.ReadDocument(ctx, text); err != nil {
			return usageErrorf("%s: nothing was applied: document %d:\n%s", s.name, n, inFile(err.Error(), line))
		}
		return nil
	})
	if err != nil {
		return err
	}
	all := map[string]int{}
	err = s.each(ctx, func(n, line int, text []byte) error {
		d, err := api.Apply(ctx, text, o)
		if err != nil {
			return s.explain(err, n, last, line)
		}
		counts := countsOf(d)
		for action, n := range counts {
			all[action] += n
		}
		_, err = fmt.Fprintf(env.Stderr, "document %d of %d: %s\n", n, last, changedInAll(counts))
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, changedInAll(all))
	return err
}

// explain says which document was not applied, and what became of the others.
func (s *documentSequence) explain(err error, n, last, line int) error {
	before := "nothing was applied"
	if n > 1 {
		before = fmt.Sprintf("the %d before it were applied, it and those after it were not", n-1)
	}
	var said *client.Error
	if errors.As(err, &said) && said.Kind == client.Invalid {
		return usageErrorf("%s: document %d of %d (%s):\n%s", s.name, n, last, before, inFile(said.Detail, line))
	}
	return fmt.Errorf("%s: document %d of %d (%s; apply the file again to go on): %w", s.name, n, last, before, err)
}

var problemLine = regexp.MustCompile(`(?m)^line (\d+):`)

// inFile makes lines of a document lines of its file.
func inFile(problems string, first int) string {
	return problemLine.ReplaceAllStringFunc(problems, func(m string) string {
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(m, "line "), ":")) // digits
		return fmt.Sprintf("line %d:", n+first-1)
	})
}

// countsOf counts what a difference changes by action.
func countsOf(d *client.Difference) map[string]int {
	counts := map[string]int{"create": len(d.Meters.Create), "update": len(d.Meters.Update), "delete": len(d.Meters.Remove)}
	if d.Organization != nil {
		counts["update"]++
	}
	for _, c := range d.Changes {
		counts[c.Action]++
	}
	return counts
}

// changedInAll is how much was created, changed and removed.
func changedInAll(counts map[string]int) string {
	if counts["create"]+counts["update"]+counts["delete"] == 0 {
		return "nothing to change"
	}
	return fmt.Sprintf("%d created, %d changed, %d removed", counts["create"], counts["update"], counts["delete"])
}
