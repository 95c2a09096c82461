package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"odometer/internal/httpserver"
	"odometer/internal/surface/akamai"
	"odometer/internal/surface/fastly"
	"odometer/internal/surface/native"
	"odometer/internal/surface/suger"
	"odometer/internal/surface/thousandeyes"
)

// TestEveryOperation compares the entries with what the surfaces serve, and
// with the description of the native API, which has the system's pages and the
// backup too.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	measured := map[string]bool{}
	for _, e := range entries() {
		measured[e.route] = true
	}
	served := map[string]bool{}
	for _, s := range []*httpserver.Surface{native.Surface(nil, nil), fastly.Surface(fastly.Options{}), akamai.Surface(akamai.Options{}), suger.Surface(suger.Options{}),
		thousandeyes.Surface(thousandeyes.Options{})} {
		for _, r := range s.Routes {
			served[r.Method+" "+r.Path] = true
		}
	}
	text, err := os.ReadFile("../../internal/surface/native/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(text, &described); err != nil {
		t.Fatal(err)
	}
	for path, operations := range described.Paths {
		for method := range operations {
			if method != "parameters" {
				served[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	for route := range served {
		if !measured[route] {
			t.Errorf("%s is served and its dearest request is not measured: add an entry", route)
		}
	}
	for route := range measured {
		if !served[route] {
			t.Errorf("%s is measured and not served", route)
		}
	}
	if len(served) < 100 {
		t.Errorf("only %d operations were found", len(served))
	}
}
