package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// applyCmd makes an organization's catalog what files say.
type applyCmd struct {
	ClientSettings `embed:""`
	Organization   string   `placeholder:"ID" help:"Act on this organization. The key needs the operator right."`
	File           []string `short:"f" required:"" sep:"none" placeholder:"FILE" help:"File with the document, as YAML or JSON; - is standard input. Repeatable: several files are one document."`
	DryRun         bool     `help:"Only print the difference that applying would make."`
	Prune          bool     `help:"Remove what the files do not have. History keeps it. Meters are removed only if the files have any."`
	Effective      string   `placeholder:"TIME" help:"When changes take effect: RFC 3339, or a date (UTC). Default: now."`
}

// Run applies the files and prints what changed.
func (c *applyCmd) Run(ctx context.Context, env *Env) error {
	o := client.ApplyOptions{DryRun: c.DryRun, Prune: c.Prune}
	if c.Effective != "" {
		var ok bool
		if o.Effective, ok = meter.ParseTime(c.Effective, time.UTC); !ok {
			return usageErrorf("--effective %q: want RFC 3339, like 2026-11-01T00:00:00Z, or a date", c.Effective)
		}
	}
	if len(c.File) == 1 {
		several, err := openSequence(env, c.File[0])
		if err != nil {
			return err
		}
		if several != nil {
			defer several.close()
			return several.apply(ctx, env, c, o)
		}
	}
	files, err := readFiles(env, c.File)
	if err != nil {
		return err
	}
	text, err := files.document()
	if err != nil {
		return err
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	d, err := api.Apply(ctx, text, o)
	if err != nil {
		return files.explain(err)
	}
	return printDifference(env.Stdout, d)
}

// documentFile is one of the files that make a document.
type documentFile struct {
	name string
	text []byte
	doc  *catalog.Document // nil where there is one file: the server reads it
}

type documentFiles []documentFile

func readFiles(env *Env, names []string) (documentFiles, error) {
	var files documentFiles
	var wrong []error // of each file
	for _, name := range names {
		f := documentFile{name: name}
		var err error
		if f.text, err = readFile(env, name); err != nil {
			wrong = append(wrong, err)
		} else if len(names) > 1 {
			if f.doc, err = catalog.ParseDocument(f.text); err != nil {
				wrong = append(wrong, fmt.Errorf("%s:\n%w", name, err))
			}
		}
		files = append(files, f)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, usageErrorf("%w", err)
	}
	return files, nil
}

// document is the text of the files as one document.
func (files documentFiles) document() ([]byte, error) {
	if len(files) == 1 {
		return files[0].text, nil // as it is, so that the server names its lines
	}
	var all catalog.Document
	for _, f := range files {
		if err := join(&all, f.doc); err != nil {
			return nil, usageErrorf("%s: %v", f.name, err)
		}
	}
	return all.YAML()
}

// explain makes an invalid document one of the usage errors, with the lines of its files.
func (files documentFiles) explain(err error) error {
	var said *client.Error
	if !errors.As(err, &said) || said.Kind != client.Invalid {
		return err
	}
	if len(files) == 1 {
		return usageErrorf("%s:\n%s", files[0].name, said.Detail)
	}
	var lines []string
	for line := range strings.SplitSeq(said.Detail, "\n") {
		lines = append(lines, files.place(line))
	}
	return usageErrorf("%s", strings.Join(lines, "\n"))
}

// joinedProblem is a problem of a joined document: its line there, and what is where.
var joinedProblem = regexp.MustCompile(`^line \d+: (\w+)(?:\[(\d+)\])?(.*)$`)

// place finds the file and the line of a problem of the joined document.
func (files documentFiles) place(problem string) string {
	m := joinedProblem.FindStringSubmatch(problem)
	if m == nil {
		return problem
	}
	list, rest := m[1], m[3]
	index, isItem := 0, m[2] != ""
	if isItem {
		index, _ = strconv.Atoi(m[2]) // digits
	}
	for _, f := range files {
		n, has := partOf(f.doc, list)
		if !has || isItem && index >= n {
			index -= n
			continue
		}
		path := list
		if isItem {
			path = fmt.Sprintf("%s[%d]", list, index)
		}
		inner, _, _ := strings.Cut(rest, ":")
		return fmt.Sprintf("%s: line %d: %s%s", f.name, f.doc.Line(path+inner), path, rest)
	}
	return problem
}

// partOf says whether a document has a part, and how many items it has.
func partOf(doc *catalog.Document, name string) (items int, has bool) {
	switch name {
	case "organization":
		return 0, doc.Organization != nil
	case "units":
		return 0, doc.Units != nil
	case "meters":
		items = len(doc.Meters)
	case "products":
		items = len(doc.Products)
	case "customers":
		items = len(doc.Customers)
	case "entitlements":
		items = len(doc.Entitlements)
	}
	return items, items > 0
}

func readFile(env *Env, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(env.Stdin, catalog.MaxDocumentBytes+1))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, catalog.MaxDocumentBytes+1))
}

// join adds a document's nouns to those of all. What there can be only one of
// is in one file only.
func join(all, doc *catalog.Document) error {
	if doc.Organization != nil {
		if all.Organization != nil {
			return errors.New("another file has organization too")
		}
		all.Organization = doc.Organization
	}
	if doc.Units != nil {
		if all.Units != nil {
			return errors.New("another file has units too")
		}
		all.Units = doc.Units
	}
	all.Meters = append(all.Meters, doc.Meters...)
	all.Products = append(all.Products, doc.Products...)
	all.Customers = append(all.Customers, doc.Customers...)
	all.Entitlements = append(all.Entitlements, doc.Entitlements...)
	return nil
}

// printDifference writes a line for each change, and how many there are.
func printDifference(w io.Writer, d *client.Difference) error {
	var out bytes.Buffer
	if d.Empty() {
		out.WriteString("nothing to change\n")
		_, err := w.Write(out.Bytes())
		return err
	}
	line := func(action, what, fields string) {
		fmt.Fprintf(&out, "%s %s%s\n", map[string]string{"create": "+", "update": "~", "delete": "-"}[action], what, fields)
	}
	if o := d.Organization; o != nil {
		setting := ""
		if o.AssignTime != nil {
			setting = fmt.Sprintf(", assign_time: %t", *o.AssignTime)
		}
		line("update", fmt.Sprintf("organization (name: %s, customer_attribute: %s%s)", shown(o.Name), shown(o.CustomerAttribute), setting), "")
	}
	for _, m := range d.Meters.Create {
		line("create", "meter "+m.Key, "")
	}
	for _, m := range d.Meters.Update {
		line("update", "meter "+m.Key, "")
	}
	for _, c := range d.Changes {
		line(c.Action, shown(nameOf(c)), differing(c))
	}
	for _, key := range d.Meters.Remove {
		line("delete", "meter "+key, "")
	}
	out.WriteString(changedInAll(countsOf(d)))
	if d.DryRun {
		out.WriteString(" if it were applied")
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// nameOf names a noun as people do: its kind, whose it is, its id.
func nameOf(c client.Change) string {
	return catalog.NounRef{Kind: c.Noun, Customer: c.Customer, ID: c.ID}.String()
}

// differing lists the fields of an update that differ.
func differing(c client.Change) string {
	if c.Action != "update" {
		return ""
	}
	var before, after map[string]json.RawMessage
	if json.Unmarshal(c.Before, &before) != nil || json.Unmarshal(c.After, &after) != nil {
		return ""
	}
	var fields []string
	for name, value := range after {
		if !bytes.Equal(before[name], value) {
			fields = append(fields, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return " (" + strings.Join(fields, ", ") + ")"
}

// catalogCmd prints an organization's catalog.
type catalogCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Print the catalog of this organization. The key needs the operator right."`
}

// Run prints the document that apply takes.
func (c *catalogCmd) Run(ctx context.Context, env *Env) error {
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return err
	}
	return api.ExportTo(ctx, env.Stdout)
}
