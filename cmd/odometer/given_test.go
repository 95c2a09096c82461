package main

import (
	"strings"
	"testing"
)

// TestGivenTexts: a value that is not UTF-8, or empty where it restricts, ends
// the program before anything is done.
func TestGivenTexts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"key", "create", "--customer", ""}, {"key", "create", "--customer", "a\xff"}, {"key", "create", "--expires="}, {"key", "create", "--account", ""},
		{"key", "revoke", ""}, {"key", "revoke", "a\xff"}, {"key", "list", "--organization", ""},
		{"usage", ""}, {"usage", "m\xff"}, {"usage", "m", "--from", ""}, {"usage", "m", "--filter", "a=\xff"}, {"usage", "m", "--filter", ""}, {"usage", "m", "--group-by", "\xff"}, {"usage", "m", "--tz", ""},
		{"ingest", "--subject", "", "f"}, {"ingest", "--subject", "a\xff", "f"}, {"ingest", "--source", "\xed\xa0\x80", "f"},
		{"apply", "-f", "x", "--effective", ""}, {"apply", "-f", "x", "--organization", "\xff"}, {"report", "run", "--entitlement", "", "--hour", "2026-11-01T00:00:00Z"},
	} {
		env, _, stderr := testEnv(nil)
		if code := Run(t.Context(), env, args); code != exitUsage || !strings.Contains(stderr.String(), "is empty") && !strings.Contains(stderr.String(), "is not UTF-8") {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
}

// TestIdleKeyFlags: a flag of `key create` that could do nothing beside the
// others is refused before a server or a data directory is asked.
func TestIdleKeyFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--kind: ":        {"--kind", "edgegrid", "--role", "ingest"},
		"--account: ":     {"--role", "read", "--account", "A-1"},
		"--default-aid: ": {"--role", "read", "--customer", "acme", "--default-aid", "7"},
		"--source: ":      {"--role", "ingest", "--source", "edge/"},
		"--strict: ":      {"--role", "read", "--strict"},
		"--customer: ":    {"--customer", "acme"},
		"--operator: ":    {"--role", "read", "--operator"},
	} {
		for _, place := range [][]string{{"--data", "missing"}, {"--key", "odo_x"}} {
			env, _, stderr := testEnv(nil)
			all := append(append([]string{"key", "create"}, place...), args...)
			if code := Run(t.Context(), env, all); code != exitUsage || !strings.Contains(stderr.String(), want) {
				t.Errorf("%q: exit code %d, %s", all, code, stderr)
			}
		}
	}
}

// TestWrongRange: a range that ends before it starts is told before a server is asked.
func TestWrongRange(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"usage", "m", "--from", "2026-11-02", "--to", "2026-11-01"}, {"usage", "m", "--from", "2026-11-01", "--to", "2026-11-01"}, {"usage", "m", "--from", "2999-01-01"},
		{"usage", "--customer", "acme", "--from", "2026-11-02", "--to", "2026-11-01"},
	} {
		env, _, stderr := testEnv(nil)
		if code := Run(t.Context(), env, append(args, "--key", "odo_x")); code != exitUsage || !strings.Contains(stderr.String(), "is not before --to") {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
}
