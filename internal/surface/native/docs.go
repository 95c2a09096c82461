package native

import (
	"bytes"
	_ "embed" // the description and its page
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"odometer/internal/httpserver"
)

//go:embed openapi.json
var openapi []byte

//go:embed docs.html
var docsTemplate string

// openAPI answers GET /openapi.json.
func openAPI(x *httpserver.Exchange) error { return x.JSON(http.StatusOK, openapi) }

// docs answers GET /docs: the description as a page without scripts or anything fetched.
func docs(x *httpserver.Exchange) error {
	page, err := docsPage()
	if err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, err = x.Write(page)
	return err
}

// description is the part of openapi.json that the page shows.
type description struct {
	Info struct {
		Title, Version, Description string
	}
	Tags       []struct{ Name string }
	Paths      map[string]docPath
	Components struct {
		Parameters map[string]docParameter
		Schemas    map[string]json.RawMessage
		Responses  map[string]docResponse
	}
}

// docPath is the operations of one path and the parameters they share.
type docPath struct {
	Parameters                    []docParameter
	Get, Post, Put, Patch, Delete *docOperation
}

type docOperation struct {
	Method, Path, Summary, Description string
	OperationID                        string
	Tags                               []string
	Parameters                         []docParameter
	RequestBody                        struct {
		Description string
		Content     map[string]docContent
	}
	Responses map[string]docResponse
}

// Steps are the parts of the path, between which its line may be broken.
func (o docOperation) Steps() []string { return strings.SplitAfter(o.Path, "/") }

type docResponse struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]docContent
}

// docContent is a body with its schema and an example of it.
type docContent struct {
	Schema, Example json.RawMessage
}

// Names are the named schemas that the content is made of.
func (c docContent) Names() []string {
	var out []string
	for _, m := range schemaName.FindAllSubmatch(c.Schema, -1) {
		if name := string(m[1]); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

var schemaName = regexp.MustCompile(`"#/components/schemas/([A-Za-z0-9]+)"`)

// Indented renders the example on lines of their own; a text as it is.
func (c docContent) Indented() string {
	var text string
	if json.Unmarshal(c.Example, &text) == nil {
		return text
	}
	return indented(c.Example)
}

func indented(raw json.RawMessage) string {
	var buf bytes.Buffer
	if len(raw) == 0 || json.Indent(&buf, raw, "", "  ") != nil {
		return ""
	}
	return buf.String()
}

type docParameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Required              bool
}

// docSection is the operations of a tag.
type docSection struct {
	Name       string
	Operations []docOperation
}

// docSchema is a named schema, as JSON.
type docSchema struct{ Name, Text string }

var docsPage = sync.OnceValues(func() ([]byte, error) {
	var d description
	if err := json.Unmarshal(openapi, &d); err != nil {
		return nil, fmt.Errorf("read the embedded description: %w", err)
	}
	t, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the embedded page: %w", err)
	}
	var schemas []docSchema
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		schemas = append(schemas, docSchema{name, indented(d.Components.Schemas[name])})
	}
	var buf bytes.Buffer
	err = t.Execute(&buf, map[string]any{"Info": d.Info, "Sections": d.sections(), "Schemas": schemas})
	return buf.Bytes(), err
})

// sections are the operations by their first tag, in the order of the tags.
func (d description) sections() []docSection {
	var out []docSection
	for _, t := range d.Tags {
		out = append(out, docSection{Name: t.Name})
	}
	for _, op := range d.operations() {
		tag := "other"
		if len(op.Tags) > 0 {
			tag = op.Tags[0]
		}
		i := slices.IndexFunc(out, func(s docSection) bool { return s.Name == tag })
		if i < 0 {
			i = len(out)
			out = append(out, docSection{Name: tag})
		}
		out[i].Operations = append(out[i].Operations, op)
	}
	return slices.DeleteFunc(out, func(s docSection) bool { return len(s.Operations) == 0 })
}

// operations lists the operations by path and method, with their parameters
// and answers resolved.
func (d description) operations() []docOperation {
	var out []docOperation
	for path, p := range d.Paths {
		for method, op := range map[string]*docOperation{"GET": p.Get, "POST": p.Post, "PUT": p.Put, "PATCH": p.Patch, "DELETE": p.Delete} {
			if op == nil {
				continue
			}
			op.Path, op.Method = path, method
			op.Parameters = slices.Concat(p.Parameters, op.Parameters)
			for i, given := range op.Parameters {
				if name, ok := strings.CutPrefix(given.Ref, "#/components/parameters/"); ok {
					op.Parameters[i] = d.Components.Parameters[name]
				}
			}
			for status, r := range op.Responses {
				if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
					r = d.Components.Responses[name]
					r.Content = nil // the same problem everywhere
					op.Responses[status] = r
				}
			}
			out = append(out, *op)
		}
	}
	slices.SortFunc(out, func(a, b docOperation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return out
}
