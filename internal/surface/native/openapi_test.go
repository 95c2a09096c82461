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
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/ledger"
)

// schemas is openapi.json as a validator sees it.
type schemas struct{ doc map[string]any }

func loadOpenAPI(t testing.TB) schemas {
	t.Helper()
	v, err := decode(openapi)
	if err != nil {
		t.Fatal(err)
	}
	return schemas{v.(map[string]any)}
}

func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// at follows a JSON pointer of the form #/a/b.
func (s schemas) at(ref string) (map[string]any, error) {
	var v any = s.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := v.(map[string]any)
		part = strings.ReplaceAll(part, "~1", "/")
		if !ok || m[part] == nil {
			return nil, fmt.Errorf("%s leads nowhere", ref)
		}
		v = m[part]
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is no object", ref)
	}
	return m, nil
}

// resolve follows $ref.
func (s schemas) resolve(m map[string]any) (map[string]any, error) {
	for {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m, nil
		}
		var err error
		if m, err = s.at(ref); err != nil {
			return nil, err
		}
	}
}

// understood are the keywords that check handles; others in a schema are an error.
var understood = []string{"$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "pattern",
	"minLength", "maxLength", "minimum", "oneOf", "format", "description", "default"}

// check validates v against a schema, as far as openapi.json uses JSON Schema.
func (s schemas) check(schema map[string]any, v any, path string) error {
	for k := range schema {
		if !slices.Contains(understood, k) {
			return fmt.Errorf("%s: keyword %s is not understood", path, k)
		}
	}
	schema, err := s.resolve(schema)
	if err != nil {
		return err
	}
	if alternatives, ok := schema["oneOf"].([]any); ok {
		fit := 0
		for _, a := range alternatives {
			if s.check(a.(map[string]any), v, path) == nil {
				fit++
			}
		}
		if fit != 1 {
			return fmt.Errorf("%s: %v fits %d of the alternatives", path, v, fit)
		}
	}
	if err := checkType(schema, v, path); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		return checkText(schema, v, path)
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			if items != nil {
				if err := s.check(items, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		return s.checkObject(schema, v, path)
	}
	return nil
}

func checkType(schema map[string]any, v any, path string) error {
	if c, ok := schema["const"]; ok && c != v {
		return fmt.Errorf("%s: %v is not %v", path, v, c)
	}
	if e, ok := schema["enum"].([]any); ok && !slices.Contains(e, v) {
		return fmt.Errorf("%s: %v is not one of %v", path, v, e)
	}
	is := "null"
	switch v := v.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case json.Number:
		if is = "number"; !strings.ContainsAny(v.String(), ".eE") {
			is = "integer"
		}
		if schema["minimum"] != nil && strings.HasPrefix(v.String(), "-") {
			return fmt.Errorf("%s: %s is below 0", path, v)
		}
	case []any:
		is = "array"
	case map[string]any:
		is = "object"
	}
	var want []any
	switch t := schema["type"].(type) {
	case string:
		want = []any{t}
	case []any:
		want = t
	default:
		return nil
	}
	if !slices.Contains(want, any(is)) && !(is == "integer" && slices.Contains(want, any("number"))) {
		return fmt.Errorf("%s: a %s, want %v", path, is, want)
	}
	return nil
}

func checkText(schema map[string]any, v, path string) error {
	if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
		return fmt.Errorf("%s: %q does not match %s", path, v, p)
	}
	if schema["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if schema["minLength"] != nil && v == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

func (s schemas) checkObject(schema, v map[string]any, path string) error {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s lacks %s", path, name)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, member := range v {
		sub, known := properties[name].(map[string]any)
		if !known {
			switch rest := schema["additionalProperties"].(type) {
			case bool:
				return fmt.Errorf("%s.%s is not described", path, name)
			case map[string]any:
				sub = rest
			}
		}
		if sub != nil {
			if err := s.check(sub, member, path+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// operation finds the description of a route.
func (s schemas) operation(method, path string) (map[string]any, []any, error) {
	item, ok := s.doc["paths"].(map[string]any)[path].(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not described", path)
	}
	op, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("%s %s is not described", method, path)
	}
	shared, _ := item["parameters"].([]any)
	own, _ := op["parameters"].([]any)
	return op, slices.Concat(shared, own), nil
}

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
	w := newWorld(t, httpserver.Options{}, ledger.Limits{})
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
