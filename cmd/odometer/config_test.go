package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"odometer/internal/cloudevents"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/metering"
	"odometer/internal/store"
)

// TestConfigSources sets one setting in each place and the same one in
// several: flag beats environment beats file beats default.
func TestConfigSources(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odometer.yaml")
	text := "# comment\ndata: /srv/odometer\nlisten: 127.0.0.1:1\nlimits:\n  id_bytes: 99\n  depth: 9\nlog-format: json\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{"ODOMETER_CONFIG": path, "ODOMETER_LISTEN": "127.0.0.1:2", "ODOMETER_LIMITS_DEPTH": "8", "ODOMETER_KEY": "odo_secret"}
	out := must(t, environ, "config", "--listen", "127.0.0.1:3")
	for _, want := range []string{
		"data: /srv/odometer # " + path + ":2",
		"listen: 127.0.0.1:3 # flag",
		"limits.id-bytes: 99 # " + path + ":5",
		"limits.depth: 8 # environment ODOMETER_LIMITS_DEPTH",
		"log-format: json # " + path + ":7",
		"limits.body-bytes: 16MiB # default",
		"# key: (set, not shown) # environment ODOMETER_KEY",
	} {
		if !strings.Contains(squeeze(out), want) {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "odo_secret") {
		t.Errorf("the key is shown:\n%s", out)
	}

	// What config prints is a configuration file that says the same.
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	again := must(t, map[string]string{"ODOMETER_CONFIG": path}, "config")
	if !strings.Contains(squeeze(again), "limits.depth: 8 # "+path) || !strings.Contains(squeeze(again), "listen: 127.0.0.1:3 # "+path) {
		t.Errorf("config read back:\n%s", again)
	}
}

// squeeze makes runs of spaces one.
func squeeze(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

// TestDefaultsAgree holds the defaults of the command line against those of
// the packages that they configure.
func TestDefaultsAgree(t *testing.T) {
	t.Parallel()
	s, err := defaultServerSettings()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.httpLimits(), httpserver.DefaultLimits(); got != want {
		t.Errorf("HTTP limits %+v, want %+v", got, want)
	}
	if got, want := s.ledgerLimits(), ledger.DefaultLimits(); got != want {
		t.Errorf("ledger limits %+v, want %+v", got, want)
	}
	if got, want := s.meteringLimits(), metering.DefaultLimits(); got != want {
		t.Errorf("metering limits %+v, want %+v", got, want)
	}
	if got, want := s.catalogLimits(), store.DefaultLimits(); got != want {
		t.Errorf("catalog limits %+v, want %+v", got, want)
	}
	if got, want := s.meteringLimits().Events, cloudevents.DefaultLimits(); got != want {
		t.Errorf("event limits %+v, want %+v", got, want)
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]byteSize{"0": 0, "1023": 1023, "1KiB": 1024, "64 MiB": 64 << 20, "1GiB": 1 << 30, "8388607TiB": 8388607 << 40} {
		var b byteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s = %d, %v; want %d", text, b, err, want)
		}
		var back byteSize
		if err := back.UnmarshalText([]byte(b.String())); err != nil || back != b {
			t.Errorf("%d written as %s is read as %d, %v", b, b, back, err)
		}
	}
	for _, text := range []string{"", "-1", "1MB", "KiB", "1.5GiB", "8388608TiB", "0x10"} {
		var b byteSize
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d", text, b)
		}
	}
}

// TestConfigurationPage is what `make verify-gen` checks.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != must(t, nil, "config", "--markdown") {
		t.Error("docs/configuration.md is out of date: run make gen")
	}
}

// TestZeroIsZeroOrRefused: no limit that is set to 0 becomes its default without a word.
func TestZeroIsZeroOrRefused(t *testing.T) {
	t.Parallel()
	settings, err := defaultServerSettings()
	if err != nil {
		t.Fatal(err)
	}
	s := &serveCmd{ServerSettings: settings}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for prefix, part := range map[string]reflect.Value{"limits.": reflect.ValueOf(&s.Limits).Elem(), "checkpoint.": reflect.ValueOf(&s.Checkpoint).Elem()} {
		for i := range part.NumField() {
			field := part.Field(i)
			if !field.CanInt() {
				continue
			}
			name, before := settingOf(part.Type().Field(i)), field.Int()
			field.SetInt(0)
			switch err := s.Validate(); {
			case zeroIsMeant[name] && err != nil:
				t.Errorf("%s%s: %v", prefix, name, err)
			case !zeroIsMeant[name] && (err == nil || !strings.Contains(err.Error(), prefix+name+":")):
				t.Errorf("%s%s: 0 is taken: %v", prefix, name, err)
			}
			field.SetInt(-1)
			if err := s.Validate(); err == nil {
				t.Errorf("%s%s: -1 is taken", prefix, name)
			}
			field.SetInt(before)
		}
	}
	s.Limits.MinFreeDisk, s.Limits.AnswerBytes, s.Limits.KeptRejections = 0, 0, 0
	if got := s.ledgerLimits(); !got.NoDiskFloor || got.AnswerBytes >= 0 || got.KeptRejections >= 0 {
		t.Errorf("%+v", got)
	}
}

// TestZeroSettings: the command line says which.
func TestZeroSettings(t *testing.T) {
	t.Parallel()
	if code, _, stderr := command(t, nil, "serve", "--data", t.TempDir(), "--limits.meters", "0"); code != exitUsage || !strings.Contains(stderr, "limits.meters: want more than 0") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestWrongAddresses: an address that cannot be one is a wrong setting, not a failure.
func TestWrongAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"serve", "--data", ""}, "data: is empty"},
		{[]string{"serve", "--data", t.TempDir(), "--listen", "bad"}, `listen "bad": want HOST:PORT`},
		{[]string{"serve", "--data", t.TempDir(), "--listen", ""}, `listen "": want HOST:PORT`},
		{[]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:65536"}, `no port "65536"`},
		{[]string{"key", "list", "--key", "k", "--url", "ftp://x"}, "want http://HOST"},
		{[]string{"ingest", "--key", "k", "--url", "ftp://x", "--state", t.TempDir(), "a.log"}, "want http://HOST"},
	} {
		if code, _, stderr := command(t, nil, c.args...); code != exitUsage || !strings.Contains(stderr, c.text) {
			t.Errorf("%q: exit %d: %s", c.args, code, stderr)
		}
	}
}
