package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"odometer/internal/fixedtest"
)

// TestKeysAreNotLogged pastes a key where none belongs, and sends long texts.
func TestKeysAreNotLogged(t *testing.T) {
	t.Parallel()
	s := fresh(t, "--log-level", "debug")
	secret := strings.TrimPrefix(s.adminKey, "odo_")
	long := strings.Repeat("é", 10_000)
	for _, path := range []string{"/api/v1/meters/" + s.adminKey, "/" + s.adminKey, "/api/v1/meters/x/usage?from=" + s.adminKey, "/api/v1/keys/" + s.adminKey,
		"/api/v1/customers/" + long, "/billing/v1/contracts/" + s.adminKey + "/products"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+s.adminKey)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	s.stop()
	text := s.log.String()
	if strings.Contains(text, secret) {
		t.Error("the log holds the key's secret")
	}
	if !strings.Contains(text, "odo_…") {
		t.Errorf("the log does not tell that a key was there:\n%.3000s", text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 8<<10 {
			t.Errorf("a record of %d bytes", len(line))
		}
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	settings := ServerSettings{LogLevel: "debug", LogFormat: "json"}
	var log fixedtest.Buffer
	logger := settings.logger(&log)
	logger.Error("said odo_abc-DEF_123", "error", errors.New("no key odo_xyz"), "number", 7, "list", []string{"odo_k"}, "text", strings.Repeat("x", logTextBytes+1))
	logger.With("bound", "odo_b").WithGroup("g").Info("", "fit", strings.Repeat("y", logTextBytes))
	text := log.String()
	for _, want := range []string{`"said odo_…"`, `"no key odo_…"`, `"number":7`, `[odo_…]`, `"bound":"odo_…"`,
		strings.Repeat("x", logTextBytes) + "… (1025 bytes)", `"` + strings.Repeat("y", logTextBytes) + `"`, `"level":"ERROR"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %.60s:\n%.3000s", want, text)
		}
	}
}
