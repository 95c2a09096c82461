package main

import (
	"strings"
	"testing"
)

// TestClose closes months of one customer and of all.
func TestClose(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	defer s.stop()
	s.post("/api/v1/catalog", s.adminKey, "application/json", `{"customers":[{"id":"acme"},{"id":"beta"},{"id":"zeta"}]}`)
	admin := s.as(s.adminKey)
	code, out, errs := command(t, admin, "close", "2026-01", "--customer", "acme")
	if code != 0 || out != "2026-01 of acme is closed\n" || !strings.HasPrefix(errs, "warning: nothing is kept") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if out := must(t, admin, "close", "2026-01"); out != "2026-01 is closed for 2 customers\n" {
		t.Error(out)
	}
	if out := must(t, admin, "close", "2026-02", "--no-wait"); !strings.Contains(out, "closing 2 of 2026-02 is under way") {
		t.Error(out)
	}
	if out := must(t, admin, "close", "2026-02"); !strings.HasPrefix(out, "2026-02 is closed for ") {
		t.Error(out)
	}
	for want, args := range map[string][]string{"is closed": {"close", "2026-01", "--customer", "acme"}, "is not a month": {"close", "october"}, "no customer": {"close", "2026-01", "--customer", "x"}} {
		if code, _, errs := command(t, admin, args...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}
