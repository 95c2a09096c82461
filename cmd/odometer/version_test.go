package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// changelogVersion is the heading of a version: ## 0.1.0 (2026-12-01).
var changelogVersion = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+) \(\d{4}-\d{2}-\d{2}\)$`)

// A build that is told no version is of the newest one in the changelog.
func TestVersionIsTheNewestOfTheChangelog(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := changelogVersion.FindStringSubmatch(string(page))
	if newest == nil {
		t.Fatalf("CHANGELOG.md has no heading like %s", changelogVersion)
	}
	if newest[1] != release {
		t.Errorf("CHANGELOG.md: %s, version.go: %s", newest[1], release)
	}
	if out := must(t, nil, "version"); !strings.HasPrefix(out, "odometer "+release) {
		t.Errorf("version: %q, want %s", out, release)
	}
}
