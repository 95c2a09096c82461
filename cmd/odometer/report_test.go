package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"odometer/internal/marketplace/simulator"
)

const soldCatalog = `
products: [{id: cdn, name: CDN}]
customers: [{id: acme, name: Acme}]
entitlements:
  - {id: e-aws, customer: acme, partner: AWS, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB}], aws: {product_code: p1, customer_identifier: aws-1}}
  - {id: e-azure, customer: acme, partner: AZURE, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB}], azure: {resource_id: 7f2c6f7e-0000-4000-8000-000000000001, plan_id: gold}}
  - {id: e-gcp, customer: acme, partner: GCP, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB}], gcp: {service: cdn.example.com, usage_reporting_id: "project:gcp-1", metrics: {gb: {name: gb, type: DOUBLE}}}}
`

// TestReportToMarketplaces: the commands against a real server and the three
// marketplaces, and again after its data was restored: nothing is billed twice.
func TestReportToMarketplaces(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Clock: time.Now})
	markets := httptest.NewServer(sim)
	t.Cleanup(markets.Close)
	var flags []string
	for _, cloud := range []string{"aws", "azure", "gcp"} {
		flags = append(flags, "--marketplace."+cloud+".endpoint", markets.URL)
	}
	s := fresh(t, flags...)
	folder := t.TempDir()
	file := filepath.Join(folder, "catalog.yaml")
	if err := os.WriteFile(file, []byte(soldCatalog), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, s.as(s.adminKey), "apply", "-f", file)
	hour := time.Now().UTC().Add(-2 * time.Hour).Truncate(time.Hour)
	entitlements := []string{"e-aws", "e-azure", "e-gcp"}
	for _, e := range entitlements {
		s.post("/org/default/entitlement/"+e+"/usageRecordGroup", s.adminKey, "application/json", fmt.Sprintf(
			`{"organizationID":"default","entitlementID":%q,"id":"group-%s","records":{"gb":12.25},"timestamp":%q}`, e, e, hour.Add(time.Minute).Format(time.RFC3339)))
	}
	run := func(s *testServer, entitlement string, more ...string) (code int, out, errs string) {
		return command(t, s.as(s.adminKey), append([]string{"report", "--entitlement", entitlement, "--hour", hour.Format(time.RFC3339)}, more...)...)
	}
	if code, out, errs := run(s, "e-aws", "--dry-run"); code != exitOK || !strings.Contains(out, "12.25") || len(sim.Ledger()) != 0 {
		t.Fatalf("dry run: %d %s%s, accepted %v", code, out, errs, sim.Ledger())
	}
	backup := filepath.Join(folder, "backup")
	must(t, s.as(s.adminKey), "backup", backup) // before anything is reported
	want := map[string]string{"aws-1": "12", "7f2c6f7e-0000-4000-8000-000000000001": "12.25", "project:gcp-1": "12.25"}
	check := func() {
		t.Helper()
		for account, q := range want {
			if got := sim.Total(account, "gb"); got.String() != q {
				t.Errorf("%s: accepted %s, want %s", account, got, q)
			}
		}
		if v := sim.Violations(); len(v) > 0 || len(sim.Ledger()) != len(want) {
			t.Errorf("%q, %v", v, sim.Ledger())
		}
	}
	for _, e := range entitlements {
		if code, out, errs := run(s, e); code != exitOK || !strings.Contains(out, "settled") {
			t.Fatalf("%s: %d %s%s", e, code, out, errs)
		}
	}
	check()
	if out := must(t, s.as(s.adminKey), "report", "stuck"); !strings.Contains(out, "nothing is stuck") {
		t.Error(out)
	}
	s.wantMetrics(`odometer_reporter_paused{organization="default"} 0`, `odometer_reporter_outcomes_total{partner="AWS",state="settled"} 1`,
		`odometer_reporter_unreported_groups{organization="default"} 0`)
	s.stop()

	restored := filepath.Join(folder, "restored")
	must(t, nil, "restore", backup, "--data", restored)
	r := serve(t, restored, flags...)
	r.adminKey = s.adminKey
	if code, _, errs := run(r, "e-aws"); code == exitOK || !strings.Contains(errs, "report reconcile") {
		t.Errorf("a restored catalog reports: %d %s", code, errs)
	}
	if out := must(t, r.as(r.adminKey), "report", "stuck"); !strings.Contains(out, "paused") {
		t.Error(out)
	}
	must(t, r.as(r.adminKey), "report", "reconcile")
	for _, e := range entitlements {
		if code, out, errs := run(r, e); code != exitOK || !strings.Contains(out, "settled") {
			t.Fatalf("%s after the restore: %d %s%s", e, code, out, errs)
		}
	}
	check()
	r.stop()
}

// wantMetrics checks that /metrics has some lines.
func (s *testServer) wantMetrics(lines ...string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.adminKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(text), line) {
			s.t.Errorf("metrics lack %s", line)
		}
	}
}

func TestReportUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"report"}, {"report", "--entitlement", "e"}, {"report", "--entitlement", "e", "--hour", "soon"},
		{"report", "resolve", "--report", "r", "--dimension", "d", "--as", "frozen"}} {
		if code, _, _ := command(t, nil, args...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// TestMarketplaceSecretsAreNotTold: neither by config nor by an error.
func TestMarketplaceSecretsAreNotTold(t *testing.T) {
	t.Parallel()
	const secret = "hush-hush"
	environ := map[string]string{"ODOMETER_MARKETPLACE_AWS_CREDENTIALS": "id:" + secret, "ODOMETER_MARKETPLACE_AZURE_CREDENTIALS": secret}
	code, out, errs := command(t, environ, "config")
	if code != exitOK || strings.Contains(out+errs, secret) {
		t.Errorf("config: %d\n%s%s", code, out, errs)
	}
	code, out, errs = command(t, environ, "serve", "--data", filepath.Join(t.TempDir(), "d"), "--listen", "127.0.0.1:0")
	if code == exitOK || strings.Contains(out+errs, secret) || !strings.Contains(errs, "marketplace.azure.credentials") {
		t.Errorf("serve: %d\n%s%s", code, out, errs)
	}
}

// TestListingCommands: an operator says what an organization may report.
func TestListingCommands(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.post("/api/v1/organizations", s.adminKey, "application/json", `{"id":"shop"}`)
	operator := s.as(s.adminKey)
	if out := must(t, operator, "listing", "list", "--organization", "shop"); out != "nothing\n" {
		t.Error(out)
	}
	must(t, operator, "listing", "allow", "--organization", "shop", "AWS", "abc123", "def456")
	if out := must(t, operator, "listing", "allow", "--organization", "shop", "GCP", "*"); strings.Count(out, "AWS") != 2 || !strings.Contains(out, "*") {
		t.Error(out)
	}
	out := must(t, operator, "listing", "forbid", "--organization", "shop", "AWS", "abc123")
	if strings.Contains(out, "abc123") || !strings.Contains(out, "def456") {
		t.Error(out)
	}
	if again := must(t, operator, "listing", "list", "--organization", "shop"); again != out {
		t.Errorf("%s, want %s", again, out)
	}
	if code, _, _ := command(t, operator, "listing", "allow", "--organization", "shop", "ORACLE", "x"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
