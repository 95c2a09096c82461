package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docsExample is the document of docs/catalog.md as a file.
func docsExample(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/catalog.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "<!-- example: a test applies this -->\n```yaml\n")
	text, _, closed := strings.Cut(text, "```")
	if !ok || !closed {
		t.Fatal("docs/catalog.md has no example")
	}
	want, err := os.ReadFile("../../internal/catalog/testdata/example.yaml")
	if err != nil || !bytes.Equal([]byte(text), want) {
		t.Errorf("the example of docs/catalog.md is not that of internal/catalog (%v)", err)
	}
	return textFile(t, text)
}

func textFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "catalog.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestApplyTheExample(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	admin, file := s.as(s.adminKey), docsExample(t)
	dry := must(t, admin, "apply", "-f", file, "--dry-run")
	if want := "+ meter edge_requests\n"; !strings.HasPrefix(dry, want) || !strings.HasSuffix(dry, "24 created, 0 changed, 0 removed if it were applied\n") {
		t.Errorf("dry run:\n%s", dry)
	}
	if out := must(t, admin, "catalog"); strings.Contains(out, "edge_requests") {
		t.Errorf("after a dry run there is\n%s", out)
	}
	out := must(t, admin, "apply", "-f", file)
	if out != strings.Replace(dry, " if it were applied", "", 1) {
		t.Errorf("applied:\n%sdry run:\n%s", out, dry)
	}
	if out := must(t, admin, "apply", "-f", file, "--prune"); out != "nothing to change\n" {
		t.Errorf("applied again:\n%s", out)
	}
	// What is exported makes the same elsewhere.
	exported := must(t, admin, "catalog")
	s.post("/api/v1/organizations", s.adminKey, "application/json", `{"id":"other"}`)
	must(t, admin, "apply", "-f", textFile(t, exported), "--organization", "other")
	if again := must(t, admin, "catalog", "--organization", "other"); again != exported {
		t.Errorf("exported:\n%s\nand from another organization:\n%s", exported, again)
	}
	s.stop()
}

func TestApplyPrintsTheDifference(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	admin := s.as(s.adminKey)
	meters := textFile(t, "meters: [{key: hits, event_type: e, aggregation: COUNT, group_by: [service]}]")
	customers := "customers: [{id: acme, services: [{id: s1}, {id: s2}]}]\nproducts: [{id: cdn, usage_types: [{name: Hits, meter: hits}]}]\nunits: {cloud: {meter: hits}}"
	if out := must(t, admin, "apply", "-f", meters, "-f", textFile(t, customers)); out !=
		"+ meter hits\n+ product cdn\n+ units\n+ customer acme\n+ service acme/s1\n+ service acme/s2\n6 created, 0 changed, 0 removed\n" {
		t.Errorf("two files:\n%s", out)
	}
	changed := textFile(t, "organization: {name: Seller}\nmeters: [{key: hits, event_type: e, aggregation: COUNT, group_by: [service], unit: hit}]\n"+
		"customers: [{id: acme, cycle_day: 5, account_id: A, services: [{id: s1, name: one}]}]\n")
	if out := must(t, admin, "apply", "-f", changed, "--prune"); out !=
		"~ organization (name: Seller, customer_attribute: subject)\n~ meter hits\n~ customer acme (account_id, cycle_day)\n~ service acme/s1 (name)\n"+
			"- service acme/s2\n- units\n- product cdn\n0 created, 4 changed, 3 removed\n" {
		t.Errorf("pruned:\n%s", out)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"pruned by none":  {[]string{"apply", "--prune", "-f", textFile(t, "")}, "a document without entries is not applied with prune"},
		"a dry run of it": {[]string{"apply", "--prune", "--dry-run", "-f", textFile(t, "{}"), "-f", textFile(t, "organization: {name: S}")}, "a document without entries is not applied with prune"},
		"no file":         {[]string{"apply"}, "--file"},
		"a missing file":  {[]string{"apply", "-f", "none.yaml"}, "none.yaml"},
		"wrong fields":    {[]string{"apply", "-f", textFile(t, "customers:\n- id: a\n  nam: x\n  cycle_day: 40\n")}, "line 3: customers[0].nam: there is no such field"},
		"wrong reference": {[]string{"apply", "-f", textFile(t, "products:\n- id: x\n  usage_types:\n  - {name: y, meter: z}\n")}, "line 4: products[0].usage_types[0].meter: there is no meter"},
		"wrong reads": {[]string{"apply", "-f", textFile(t, "a: 1"), "-f", "none.yaml", "-f", textFile(t, "customers: 7\nmeters: [{key: m}]")},
			"line 2: meters[0]: event_type"},
		"wrong joined": {[]string{"apply", "-f", meters, "-f", textFile(t, "customers: 7")}, "line 1: customers: want a list"},
		"two units":    {[]string{"apply", "-f", textFile(t, "units: {}"), "-f", textFile(t, "units: {}")}, "another file has units too"},
		"two of an id": {[]string{"apply", "-f", meters, "-f", meters}, "line 1: meters[0].key: hits is also that of"},
		"several files": {[]string{"apply", "-f", meters, "-f", textFile(t, "customers: [{id: a}]\n"), "-f", textFile(t, "customers:\n- id: b\n  contracts:\n  - id: K\n    terms: [{products: [none], regions: GLOBAL}]\n")},
			"line 5: customers[0].contracts[0].terms[0].products[0]: there is no product"},
		"units of two files": {[]string{"apply", "-f", meters, "-f", textFile(t, "\n\nunits: {cloud: {meter: none}}")}, "line 3: units.cloud.meter: there is no meter"},
		"wrong time":         {[]string{"apply", "-f", meters, "--effective", "soon"}, "--effective"},
		"the future":         {[]string{"apply", "-f", meters, "--effective", "2100-01-01"}, "future"},
	} {
		if code, _, errs := command(t, admin, c.args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
	}
	env, out, errs := testEnv(admin)
	env.Stdin = strings.NewReader(`{"customers":[{"id":"json"}]}`)
	if code := Run(t.Context(), env, []string{"apply", "-f", "-"}); code != exitOK || !strings.HasPrefix(out.String(), "+ customer json\n") {
		t.Errorf("standard input: exit code %d: %s%s", code, out, errs)
	}
	s.stop()
}
