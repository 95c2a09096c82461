package main

import (
	"os"
	"regexp"
	"runtime/debug"
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

func TestVersionNamesTheCommit(t *testing.T) {
	t.Parallel()
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	clean, modified := debug.BuildSetting{Key: "vcs.modified", Value: "false"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"0.1.0", nil, "0.1.0"},
		{"0.1.0", []debug.BuildSetting{commit, clean}, "0.1.0+0123456789ab"},
		{"0.1.0", []debug.BuildSetting{commit, modified}, "0.1.0+0123456789ab-dirty"},
		{"v0.1.0-3-g0123456-dirty", []debug.BuildSetting{commit, modified}, "v0.1.0-3-g0123456-dirty+0123456789ab"},
		{"0.1.0", []debug.BuildSetting{{Key: "vcs.revision", Value: "short"}, modified}, "0.1.0"},
	} {
		if got := withCommit(c.version, c.settings); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.version, c.settings, got, c.want)
		}
	}
}
