package native

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"odometer/compat/harness"
)

const catalog = `
meters:
  - {key: bytes, event_type: edge.request, aggregation: SUM, value: bytes, unit: byte, group_by: [customer, region]}
products:
  - {id: cdn, usage_types: [{name: Bytes, meter: bytes, unit: byte}]}
customers:
  - {id: acme}
  - {id: zeta}
`

// answers is what each client prints.
type answers struct {
	One, Many struct {
		Accepted, Duplicates, Rejected int
	}
	Preview struct {
		Counted int
		Sum     string
	}
	Usage struct {
		Unit, Total string
		Rows        []struct {
			Start string
			Group map[string]string
			Value string
		}
	}
	Products struct {
		Rows []struct {
			Customer, Value string
		}
	}
	Lookup struct {
		Event struct {
			Verdict string
			Data    struct {
				Region string
				Nested struct{ Deep []int }
			}
		}
	}
	Refused struct {
		Status int
		Type   string
	}
}

// TestGeneratedClients sends and asks with clients that are generated from the
// description that the server serves. One that cannot be installed fails the
// test unless ODOMETER_ALLOW_MISSING (a list with commas) has pypi or npm.
func TestGeneratedClients(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	for name, install := range map[string]func(*testing.T, string) (harness.Client, bool){"python": python, "typescript": typescript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.World{Catalog: catalog})
			folder := t.TempDir()
			description := filepath.Join(folder, "openapi.json")
			fetch(t, s.URL+"/openapi.json", description)
			c, ok := install(t, description)
			if !ok {
				return
			}
			var got answers
			c.Run(t, map[string]string{"openapi": description, "folder": folder, "url": s.URL, "key": s.Admin}, &got)
			got.check(t)
		})
	}
}

func (a answers) check(t *testing.T) {
	t.Helper()
	if a.One.Accepted != 1 || a.Many.Accepted != 2 || a.Many.Duplicates != 1 || a.Many.Rejected != 0 {
		t.Errorf("sent: %+v, %+v", a.One, a.Many)
	}
	if a.Preview.Counted != 3 || a.Preview.Sum != "321" {
		t.Errorf("preview: %+v", a.Preview)
	}
	if u := a.Usage; u.Unit != "byte" || u.Total != "21" || len(u.Rows) != 1 || u.Rows[0].Value != "21" || u.Rows[0].Group["region"] != "eu" || !strings.HasSuffix(u.Rows[0].Start, "T09:00:00+02:00") {
		t.Errorf("usage: %+v", u)
	}
	if p := a.Products; len(p.Rows) != 1 || p.Rows[0].Customer != "acme" || p.Rows[0].Value != "321" {
		t.Errorf("products: %+v", p)
	}
	if e := a.Lookup.Event; e.Verdict != "accepted" || e.Data.Region != "eu" || len(e.Data.Nested.Deep) != 2 {
		t.Errorf("lookup: %+v", e)
	}
	if a.Refused.Status != http.StatusNotFound || !strings.HasSuffix(a.Refused.Type, ":not_found") {
		t.Errorf("refused: %+v", a.Refused)
	}
}

func python(t *testing.T, _ string) (harness.Client, bool) {
	return harness.Python(t, "native", "python.txt", "client.py")
}

// typescript generates types and compiles the client with them.
func typescript(t *testing.T, description string) (harness.Client, bool) {
	t.Helper()
	c, ok := harness.Node(t, "js")
	if !ok {
		return c, false
	}
	folder, err := filepath.Abs("testdata/js")
	harness.Check(t, err)
	bin := filepath.Join(folder, "node_modules", ".bin")
	for _, args := range [][]string{{filepath.Join(bin, "openapi-typescript"), description, "-o", "schema.d.ts"}, {filepath.Join(bin, "tsc"), "-p", "."}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(args[0]), err, out)
		}
	}
	return c, true
}

func fetch(t *testing.T, url, path string) {
	t.Helper()
	r, err := http.Get(url)
	harness.Check(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	harness.Check(t, err)
	if r.StatusCode != http.StatusOK || !json.Valid(text) {
		t.Fatalf("%s: %s", url, r.Status)
	}
	harness.Check(t, os.WriteFile(path, text, 0o600))
}
