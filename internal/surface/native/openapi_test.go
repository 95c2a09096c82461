package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOpenAPIDescribesEveryRoute compares the description with the routes:
// every method, path, query parameter and path parameter, both ways.
func TestOpenAPIDescribesEveryRoute(t *testing.T) {
	t.Parallel()
	s := loadOpenAPI(t)
	known := map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /metrics": true, "GET /openapi.json": true, "GET /docs": true,
		"POST /api/v1/backup": true} // served by the command, which has the data directory
	for _, op := range operations {
		known[op.Method+" "+op.Path] = true
		_, params, err := s.operation(op.Method, op.Path)
		if err != nil {
			t.Error(err)
			continue
		}
		var query, path []string
		for _, p := range params {
			m, err := s.resolve(p.(map[string]any))
			if err != nil {
				t.Fatal(err)
			}
			name := m["name"].(string)
			switch m["in"] {
			case "query":
				if name == "filter" {
					name += "[]"
				}
				query = append(query, name)
			case "path":
				path = append(path, "{"+name+"}")
			}
		}
		var want []string
		for _, name := range op.Params {
			want = append(want, strings.TrimSuffix(name, several))
		}
		slices.Sort(query)
		slices.Sort(want)
		if !slices.Equal(query, want) {
			t.Errorf("%s %s: described are %v, taken are %v", op.Method, op.Path, query, want)
		}
		if braced := regexp.MustCompile(`\{[a-z]+\}`).FindAllString(op.Path, -1); !slices.Equal(path, braced) {
			t.Errorf("%s: path parameters %v", op.Path, path)
		}
	}
	for path, item := range s.doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" && !known[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is described and not served", method, path)
			}
		}
	}
}

// TestOpenAPIExamples validates every example against its schema, and that
// every reference leads somewhere.
func TestOpenAPIExamples(t *testing.T) {
	t.Parallel()
	s := loadOpenAPI(t)
	examples := 0
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if _, err := s.at(ref); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			if schema, ok := v["schema"].(map[string]any); ok && v["example"] != nil {
				examples++
				if err := s.check(schema, v["example"], path); err != nil {
					t.Error(err)
				}
			}
			for name, member := range v {
				if name != "example" {
					walk(member, path+"/"+name)
				}
			}
		case []any:
			for i, item := range v {
				walk(item, fmt.Sprintf("%s/%d", path, i))
			}
		}
	}
	walk(s.doc, "#")
	if examples < 20 {
		t.Errorf("%d examples", examples)
	}
}

// described checks a real answer against the description of its route.
func (s schemas) described(method, route string, a answer) error {
	op, _, err := s.operation(method, route)
	if err != nil {
		return err
	}
	response, ok := op["responses"].(map[string]any)[fmt.Sprint(a.Status)].(map[string]any)
	if !ok {
		return fmt.Errorf("status %d is not described", a.Status)
	}
	if response, err = s.resolve(response); err != nil {
		return err
	}
	content, _ := response["content"].(map[string]any)
	if content == nil {
		if a.Body != "" {
			return fmt.Errorf("a body where none is described")
		}
		return nil
	}
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	form, ok := content[media].(map[string]any)
	if !ok {
		return fmt.Errorf("content type %s is not described", media)
	}
	if !strings.HasSuffix(media, "json") {
		return nil
	}
	v, err := decode([]byte(a.Body))
	if err != nil {
		return err
	}
	return s.check(form["schema"].(map[string]any), v, route)
}

// told is described for an answer in the form that a header asks for: of a form
// beside JSON the description says in words that it is there.
func (s schemas) told(method, route string, a answer, header []string) error {
	if len(header) != 2 || header[0] != "Accept" {
		return s.described(method, route, a)
	}
	operation, err := s.at("#/paths/" + strings.ReplaceAll(route, "/", "~1") + "/" + strings.ToLower(method))
	if err != nil {
		return err
	}
	text, err := json.Marshal(operation)
	if err == nil && (a.Status != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), header[1]) || !strings.Contains(string(text), "Accept: "+header[1])) {
		err = fmt.Errorf("%d, %s", a.Status, a.Header.Get("Content-Type"))
	}
	return err
}

// TestAnswersAreAsDescribed makes every call once and more, and validates
// what really comes back, errors included.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	s := loadOpenAPI(t)
	w := newWorld(t)
	const meters, meter, usage = "/api/v1/meters", "/api/v1/meters/{key}", "/api/v1/meters/{key}/usage"
	const keys, key, orgs, org = "/api/v1/keys", "/api/v1/keys/{id}", "/api/v1/organizations", "/api/v1/organizations/{id}"
	const events, lookup, audit = "/api/v1/events", "/api/v1/events/lookup", "/api/v1/audit"
	filtered := `{"key":"p","event_type":"e","aggregation":"PERCENTILE","value":"v","percentile":"99.9","rate":true,` +
		`"filters":[[{"attribute":"a","op":"EXISTS"},{"attribute":"b","op":"IS","value":null}]]}`
	made := read[struct{ ID, Key string }](w, w.call("POST", keys, `{"role":"read"}`))
	covered := map[string]bool{}
	call := func(method, route, path, body string, header ...string) {
		a := w.call(method, path, body, header...)
		covered[method+" "+route] = true
		if err := s.told(method, route, a, header); err != nil {
			t.Errorf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
	for _, c := range []struct {
		method, route, path, body string
		header                    []string
	}{
		{"POST", meters, "", sumMeter, nil},
		{"POST", meters, "", sumMeter, nil},
		{"POST", meters, "", strings.Replace(sumMeter, "SUM", "MAX", 1), nil},
		{"POST", meters, "", filtered, nil},
		{"POST", meters, "", `{`, nil},
		{"POST", events, "", "[" + testEvent("a") + "," + testEvent("a", "data", "{}") + "," + testEvent("b", "time", `"then"`) + "]", nil},
		{"POST", events, "", "{", nil},
		{"POST", events, "", "{}", []string{"Content-Type", "text/plain"}},
		{"GET", events, "", "", nil},
		{"GET", events, events + "?limit=1", "", nil},
		{"GET", events, events + "?limit=0", "", nil},
		{"GET", lookup, lookup + "?source=edge&id=a", "", nil},
		{"GET", lookup, lookup + "?source=edge&id=none", "", nil},
		{"GET", meters, "", "", nil},
		{"GET", meter, meters + "/bytes", "", nil},
		{"GET", meter, meters + "/none", "", nil},
		{"PATCH", meter, meters + "/bytes", `{"name":"x"}`, nil},
		{"GET", usage, meters + "/bytes/usage?" + today + "&window=hour&group_by=service", "", nil},
		{"GET", usage, meters + "/bytes/usage?" + today + "&window=month", "", nil},
		{"GET", usage, meters + "/bytes/usage?" + today, "", []string{"Accept", "text/csv"}},
		{"GET", usage, meters + "/bytes/usage", "", nil},
		{"GET", usage, meters + "/none/usage?" + today, "", nil},
		{"DELETE", meter, meters + "/bytes", "", nil},
		{"POST", keys, "", `{"role":"read","customer":"acme","expires":"2027-01-01T00:00:00Z"}`, nil},
		{"GET", meters, "", "", as(made.Key)},
		{"POST", keys, "", `{"role":"read"}`, as(made.Key)},
		{"POST", keys, "", `{}`, []string{"Authorization", ""}},
		{"DELETE", key, keys + "/" + made.ID, "", nil},
		{"GET", keys, "", "", nil},
		{"POST", orgs, "", `{"id":"new"}`, nil},
		{"POST", orgs, "", `{"id":"new"}`, nil},
		{"GET", orgs, "", "", nil},
		{"GET", org, orgs + "/new", "", nil},
		{"PATCH", org, orgs + "/new", `{"customer_attribute":"account"}`, nil},
		{"GET", audit, audit + "?limit=1", "", nil},
		{"GET", audit, "", "", nil},
		{"GET", "/healthz", "", "", nil},
		{"GET", "/readyz", "", "", nil},
		{"GET", "/metrics", "", "", nil},
		{"GET", "/openapi.json", "", "", nil},
		{"GET", "/docs", "", "", nil},
	} {
		path := c.path
		if path == "" {
			path = c.route
		}
		call(c.method, c.route, path, c.body, c.header...)
	}
	callCatalog(call)
	callNouns(call)
	callPeriods(call)
	callReports(call)
	for _, op := range operations {
		if !covered[op.Method+" "+op.Path] {
			t.Errorf("%s %s was not called", op.Method, op.Path)
		}
	}
}

func callCatalog(call func(method, route, path, body string, header ...string)) {
	const catalog = "/api/v1/catalog"
	call("POST", catalog, catalog, smallCatalog)
	call("POST", catalog, catalog+"?dry_run=true&prune=true", smallCatalog)
	call("POST", catalog, catalog, "customers: [{}]", yamlBody...)
	call("POST", catalog, catalog, "{}", "Content-Type", "text/plain")
	for _, query := range []string{"?customer=acme&group_by=service&window=day&" + today, "?customer=none&" + today, ""} {
		call("GET", "/api/v1/usage", "/api/v1/usage"+query, "")
	}
	call("GET", catalog, catalog, "")
	call("GET", catalog, catalog, "", "Accept", "application/yaml")
	call("POST", catalog, catalog+"?prune=true", `{"meters":[{"key":"hits","event_type":"e","aggregation":"COUNT"}]}`) // of another definition
	call("POST", catalog, catalog+"?prune=true", `{"meters":[{"key":"other","event_type":"e","aggregation":"COUNT"}]}`)
	call("POST", catalog, catalog, `{"meters":[{"key":"hits","event_type":"e","aggregation":"COUNT"}]}`)
}

// callNouns makes every call of every kind of noun, and some that are refused.
func callNouns(call func(method, route, path, body string, header ...string)) {
	const catalog, units, nobody = "/api/v1/catalog", "/api/v1/units", "/api/v1/customers/nobody"
	call("GET", units, units, "")
	call("PUT", units, units, `{"cloud":{"meter":"hits"},"rates":{"ping":{"cloud":"1"}}}`)
	call("PUT", units, units, `{"cloud":{"meter":"none"}}`)
	call("GET", units, units, "")
	for _, c := range nounCases {
		one := c.route + "/{id}"
		call("POST", c.route, c.list(), c.body)
		call("POST", c.route, c.list(), c.body)
		call("POST", c.route, c.list(), `{}`)
		call("GET", c.route, c.list(), "")
		call("GET", one, c.one(), "")
		call("PATCH", one, c.one(), c.patch)
		call("PATCH", one, c.one(), c.wrong)
		call("PATCH", one, c.list()+"/none", c.patch)
		call("GET", one, c.list()+"/none", "")
		if c.inner() {
			call("GET", c.route, nobody+strings.TrimPrefix(c.list(), "/api/v1/customers/acme"), "")
			call("POST", c.route, nobody+strings.TrimPrefix(c.list(), "/api/v1/customers/acme"), c.body)
		}
	}
	for _, id := range []string{"e-1", "none"} {
		call("GET", creditsPath, "/api/v1/entitlements/"+id+"/credits", "")
		for _, body := range []string{`{"amount":"2.5"}`, `{"amount":"-1"}`} {
			call("POST", creditsPath, "/api/v1/entitlements/"+id+"/credits", body)
		}
		call("GET", creditsPath, "/api/v1/entitlements/"+id+"/credits", "")
	}
	call("GET", catalog, catalog, "")
	for _, c := range nounCases {
		if c.blocker != "" {
			call("DELETE", c.route+"/{id}", c.one(), "")
		}
	}
	for _, c := range slices.Backward(nounCases) {
		call("DELETE", c.route+"/{id}", c.one(), "")
		call("DELETE", c.route+"/{id}", c.one(), "")
	}
	call("DELETE", "/api/v1/meters/{key}", "/api/v1/meters/hits", "")
}

func TestDocsPage(t *testing.T) {
	t.Parallel()
	page, err := docsPage()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range operations {
		if !bytes.Contains(page, []byte(op.Method+" "+strings.ReplaceAll(op.Path, "/", "/<wbr>"))) {
			t.Errorf("the page lacks %s %s", op.Method, op.Path)
		}
	}
	// Every link of the contents and of the schemas leads somewhere, and the
	// examples of bodies and answers are there.
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		if ids[m[1]] {
			t.Errorf("two parts of the page are called %s", m[1])
		}
		ids[m[1]] = true
	}
	links := regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(string(page), -1)
	for _, m := range links {
		if !ids[m[1]] {
			t.Errorf("a link leads nowhere: #%s", m[1])
		}
	}
	for _, want := range []string{"specversion&#34;: &#34;1.0&#34;", "usage_type&#34;: &#34;Total GB&#34;", "<h4>Body</h4>", "<h4>Parameters</h4>", `name="viewport"`, "white-space:pre-wrap"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if len(links) < 2*len(operations) {
		t.Errorf("%d links", len(links))
	}
	if regexp.MustCompile(`(?i)<script|src=|href="https?:|url\(|@import`).Match(page) {
		t.Error("the page is not self-contained")
	}
}

// TestSurfacePage: docs/surfaces/native.md names every operation.
func TestSurfacePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/surfaces/native.md")
	if err != nil {
		t.Fatal(err)
	}
	nouns := map[string]bool{}
	for _, n := range nounRoutes { // one line stands for the five operations of a kind
		nouns[n.path], nouns[n.path+"/{id}"] = true, true
		if !bytes.Contains(page, []byte("`"+n.path+"`")) {
			t.Errorf("the page lacks %s", n.path)
		}
	}
	for _, op := range operations {
		if !nouns[op.Path] && !bytes.Contains(page, []byte("`"+op.Method+" "+op.Path+"`")) {
			t.Errorf("the page lacks %s %s", op.Method, op.Path)
		}
	}
}
