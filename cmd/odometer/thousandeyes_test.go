package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"odometer/internal/surface/thousandeyes/wire"
)

func TestThousandEyesIsServed(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--public-url", "https://meter.example/")
	for _, path := range []string{wire.PathUsage, wire.PathTestUnits, wire.PathAgentUnits} {
		for key, want := range map[string]string{
			"": `401 {"error":"invalid_token","error_description":"Invalid access token"}`,
			"Bearer " + s.adminKey: `400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"aid: this token has no default account group",` +
				`"instance":"` + path + `","errors":[{"code":"missing","field":"aid","message":"this token has no default account group"}]}`,
		} {
			r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", key)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if got := response.Status[:4] + strings.TrimSpace(string(body)); err != nil || got != want {
				t.Errorf("%s: %s %v, want %s", path, got, err, want)
			}
		}
	}
	s.stop()
}

func TestThousandEyesSettings(t *testing.T) {
	t.Parallel()
	settings, err := defaultServerSettings()
	if err != nil || settings.ThousandEyes.RateLimit != wire.RequestsPerMinute || settings.publicBase() != "" {
		t.Errorf("%d %q %v", settings.ThousandEyes.RateLimit, settings.publicBase(), err)
	}
	for given, want := range map[string]string{
		"https://meter.example": "https://meter.example", "http://h:8080/odometer/": "http://h:8080/odometer",
		"meter.example": "!", "ftp://h": "!", "https://": "!", "https://h?x=1": "!", "https://h#x": "!", "https://%zz": "!",
	} {
		s := settings
		s.PublicURL = given
		err := s.Validate()
		if (err != nil) != (want == "!") || err == nil && s.publicBase() != want {
			t.Errorf("%q: %q %v, want %q", given, s.publicBase(), err, want)
		}
	}
}
