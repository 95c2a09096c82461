package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCatalogLimits: keys and catalog entries are taken up to their settings,
// and none past them; a catalog at rest has no such limit.
func TestCatalogLimits(t *testing.T) {
	t.Parallel()
	s := fresh(t, "--limits.keys", "2", "--limits.all-keys", "2", "--limits.catalog-entries", "3")
	admin := s.as(s.adminKey)
	must(t, admin, "key", "create", "--role", "read") // and the first key
	if code, _, stderr := command(t, admin, "key", "create", "--role", "read"); code == exitOK || !strings.Contains(stderr, "has 2 keys, the limit") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	document := func(entries string) string {
		path := filepath.Join(t.TempDir(), "catalog.yaml")
		if err := os.WriteFile(path, []byte("customers: ["+entries+"]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must(t, admin, "apply", "-f", document("{id: a, services: [{id: s}]}, {id: b}"))
	if code, _, stderr := command(t, admin, "apply", "-f", document("{id: c}")); code == exitOK || !strings.Contains(stderr, "4 nouns, more than 3") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	s.stop()
	must(t, nil, "key", "create", "--role", "read", "--data", s.data)
}

// TestKeyLimitsAgree: one organization cannot be allowed more keys than all have.
func TestKeyLimitsAgree(t *testing.T) {
	t.Parallel()
	code, _, stderr := command(t, nil, "serve", "--data", t.TempDir(), "--limits.keys", "100001")
	if code != exitUsage || !strings.Contains(stderr, "limits.keys: 100001 is more than limits.all-keys, 100000") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
