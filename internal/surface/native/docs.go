package native

import (
	"bytes"
	_ "embed" // the description and its page
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
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
	Paths      map[string]docPath
	Components struct {
		Parameters map[string]docParameter
	}
}

// docPath is the operations of one path and the parameters they share.
type docPath struct {
	Parameters                    []docParameter
	Get, Post, Put, Patch, Delete *docOperation
}

type docOperation struct {
	Method, Path, Summary, Description string
	Parameters                         []docParameter
	Responses                          map[string]struct{ Description string }
}

type docParameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Required              bool
}

var docsPage = sync.OnceValues(func() ([]byte, error) {
	var d description
	if err := json.Unmarshal(openapi, &d); err != nil {
		return nil, fmt.Errorf("read the embedded description: %w", err)
	}
	t, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the embedded page: %w", err)
	}
	var buf bytes.Buffer
	err = t.Execute(&buf, map[string]any{"Info": d.Info, "Operations": d.operations()})
	return buf.Bytes(), err
})

// operations lists the operations by path and method, with their parameters resolved.
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
			out = append(out, *op)
		}
	}
	slices.SortFunc(out, func(a, b docOperation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return out
}
