package main

import (
	"strings"
	"testing"
)

// TestUsageOfProducts closes a month that more usage comes for, and prints it.
func TestUsageOfProducts(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.post("/api/v1/catalog", s.adminKey, "application/json", `{"meters":[{"key":"hits","event_type":"e","aggregation":"COUNT","group_by":["customer","service"]}],
"products":[{"id":"cdn","usage_types":[{"name":"Hits","meter":"hits","unit":"hits"}]}],"customers":[{"id":"acme"},{"id":"idle"}]}`)
	event := func(id string) {
		s.post("/api/v1/events", s.adminKey, "application/json", `{"specversion":"1.0","id":"`+id+`","source":"s","type":"e","time":"2026-01-10T00:00:00Z","subject":"acme","data":{"service":"web"}}`)
	}
	event("1")
	s.post("/api/v1/periods", s.adminKey, "application/json", `{"customer":"acme","month":"2026-01"}`)
	event("2")
	admin := s.as(s.adminKey)
	span := []string{"--from", "2026-01-01", "--to", "2026-03-01", "--window", "month"}
	ask := func(args ...string) string {
		return must(t, admin, append(append([]string{"usage"}, args...), span...)...)
	}
	lines := strings.Split(strings.TrimSpace(ask("--customer", "acme", "--customer", "idle", "--group-by", "service")), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "closed") || !strings.Contains(lines[2], "late usage of 2026-01") || !strings.Contains(lines[2], "web") {
		t.Errorf("%q", lines)
	}
	if out := ask("--customer", "acme", "--format", "csv"); !strings.Contains(out, "acme,cdn,Hits,hits,false,2026-02-01T00:00:00Z,2026-03-01T00:00:00Z,1,false,2026-01,true,false") {
		t.Error(out)
	}
	if out := ask("--customer", "acme", "--format", "json"); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"late":true`) {
		t.Error(out)
	}
	_, out, errs := command(t, admin, append([]string{"usage", "hits"}, span...)...)
	if !strings.Contains(out, "2") || !strings.Contains(errs, "2026-01 is closed for acme") {
		t.Errorf("%s%s", out, errs)
	}
	if _, _, errs := command(t, admin, append([]string{"usage", "hits", "--group-by", "servcie"}, span...)...); !strings.Contains(errs, `hint: none of the latest 2 events of type "e" has the attribute "servcie"`) {
		t.Error(errs)
	}
	// A date is its first instant, also where its midnight is skipped.
	if out := must(t, admin, "usage", "hits", "--from", "2026-09-06", "--to", "2026-09-07T00:00", "--tz", "America/Santiago", "--fill-zero", "--window", "day", "--format", "csv"); !strings.Contains(out, "2026-09-06T01:00:00-03:00,2026-09-07T00:00:00-03:00,0,false") {
		t.Error(out)
	}
	if code, _, errs := command(t, admin, "usage", "hits", "--tz", "Local"); code != exitUsage || !strings.Contains(errs, "IANA") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	for _, args := range [][]string{{"hits", "--customer", "acme"}, {"--customer", "acme", "--filter", "a=b"}} {
		if code, _, _ := command(t, admin, append([]string{"usage"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	s.stop()
}
