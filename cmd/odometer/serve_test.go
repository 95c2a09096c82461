package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"odometer/internal/meter"
)

func TestServeFreshThenAgain(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	response, err := http.Get(s.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s", response.Status)
	}
	s.stop()

	again := serve(t, s.data)
	if again.adminKey != "" {
		t.Errorf("a second start prints a key: %q", again.adminKey)
	}
	must(t, again.as(s.adminKey), "key", "list")
	again.stop()
}

func TestServeRefusesASecondServer(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for name, listen := range map[string]string{"identical": strings.TrimPrefix(s.url, "http://"), "other port": "127.0.0.1:0"} {
		code, out, errs := command(t, nil, "serve", "--data", s.data, "--listen", listen)
		if code != exitInUse || out != "" {
			t.Errorf("%s: exit code %d, want %d; printed %q", name, code, exitInUse, out)
		}
		if !strings.Contains(errs, "in use by process") || !strings.Contains(errs, s.data) {
			t.Errorf("%s: %q does not say who uses what", name, errs)
		}
	}
	for _, args := range [][]string{
		{"verify", "--data", s.data}, {"key", "list", "--data", s.data}, {"backup", "--data", s.data, t.TempDir() + "/b"},
	} {
		if code, _, errs := command(t, nil, args...); code != exitInUse {
			t.Errorf("%s on a directory in use: exit code %d: %s", args[0], code, errs)
		}
	}
	must(t, s.as(s.adminKey), "key", "list") // the first one is unharmed
	s.stop()
}

func TestServePortInUse(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	data := filepath.Join(t.TempDir(), "data")
	code, _, errs := command(t, nil, "serve", "--data", data, "--listen", busy.Addr().String())
	if code != exitFailed || !strings.Contains(errs, "address already in use") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	// The attempt has let go of the directory, and its first key was not spent.
	s := serve(t, data)
	if s.adminKey == "" {
		t.Errorf("no admin key after a start that never served")
	}
	s.stop()
}

func TestCommandLineErrors(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		environ map[string]string
		args    string
		want    string
	}{
		"unknown command":    {nil, "sevre", "unexpected argument sevre"},
		"unknown flag":       {nil, "serve --dta x", "unknown flag --dta"},
		"missing argument":   {nil, "usage", "expected \"<meter>\""},
		"bad enum":           {nil, "serve --log-format xml", "--log-format must be one of"},
		"bad size":           {nil, "serve --limits.body-bytes 3MB", `"3MB" is not a size`},
		"bad duration":       {nil, "serve --checkpoint.every soon", "checkpoint.every"},
		"half of TLS":        {nil, "serve --tls-cert x", "tls-cert and tls-key go together"},
		"bad environment":    {map[string]string{"ODOMETER_CHECKPOINT_EVENTS": "many"}, "serve", "environment ODOMETER_CHECKPOINT_EVENTS"},
		"no such file":       {nil, "--config " + folder + "/none.yaml serve", "none.yaml"},
		"file by variable":   {map[string]string{"ODOMETER_CONFIG": folder + "/none.yaml"}, "serve", "none.yaml"},
		"unknown setting":    {nil, "serve --config " + file("a.yaml", "data: x\nlisten-on: y\n"), `a.yaml:2: no setting is called "listen-on"`},
		"file names a file":  {nil, "serve --config " + file("b.yaml", "config: c.yaml\n"), `b.yaml:1: no setting is called "config"`},
		"set twice":          {nil, "serve --config " + file("c.yaml", "log-level: info\nlog_level: warn\n"), "c.yaml:2: log-level is set twice"},
		"not settings":       {nil, "serve --config " + file("d.yaml", "- a\n- b\n"), "want `setting: value` lines"},
		"not YAML":           {nil, "serve --config " + file("e.yaml", "a: [\n"), "e.yaml"},
		"bad value in file":  {nil, "serve --config " + file("f.yaml", "limits:\n  id_bytes: long\n"), "f.yaml:2"},
		"no key":             {nil, "usage m", "set ODOMETER_KEY"},
		"bad url":            {nil, "usage m --key k --url nowhere", `url "nowhere"`},
		"load over https":    {nil, "load --key k --url https://127.0.0.1:1", "plain http only"},
		"unknown profile":    {nil, "load --key k --profile fast", `no profile "fast"`},
		"bad time":           {nil, "usage m --key k --from yesterday", `--from "yesterday"`},
		"bad zone":           {nil, "usage m --key k --tz Mars/Olympus", "Mars/Olympus"},
		"bad filter":         {nil, "usage m --key k --filter region", "want ATTRIBUTE=VALUE"},
		"not a directory":    {nil, "verify --data " + folder, "is not a data directory"},
		"a file":             {nil, "verify --data " + file("plain", "x"), "is not a data directory: it is a file"},
		"demo in public":     {nil, "demo --listen 0.0.0.0:8080", "loopback only"},
		"nothing to restore": {nil, "restore " + folder + "/none --data " + folder + "/x", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, c.environ, strings.Fields(c.args)...)
			if code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if !strings.Contains(errs, c.want) || out != "" {
				t.Errorf("standard error %q does not contain %q, or standard output is not empty: %q", errs, c.want, out)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"serve", "--help"}, {"load", "--help"}, {"key", "--help"}} {
		code, out, errs := command(t, nil, args...)
		if code != exitOK || !strings.HasPrefix(out, "Usage: odometer") || errs != "" {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, errs)
		}
	}
	if out := must(t, nil, "load", "--help"); !strings.Contains(out, "many-customers") {
		t.Errorf("load --help does not list the profiles:\n%s", out)
	}
	if out := must(t, nil, "version"); !strings.HasPrefix(out, "odometer ") || !strings.HasSuffix(out, "time zones "+meter.ZoneVersion()+"\n") {
		t.Errorf("version: %q", out)
	}
}

// TestServeWithoutTLS warns where keys would travel readably.
func TestServeWithoutTLS(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	writeCertificate(t, cert, key)
	for _, c := range []struct {
		flags []string
		warns bool
	}{
		{nil, false},
		{[]string{"--listen", "0.0.0.0:0"}, true},
		{[]string{"--listen", "0.0.0.0:0", "--public-url", "http://usage.example"}, true},
		{[]string{"--listen", "0.0.0.0:0", "--public-url", "https://usage.example"}, false},
		{[]string{"--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key}, false},
	} {
		s := fresh(t, c.flags...)
		s.stop()
		if strings.Contains(s.log.String(), "travel unencrypted") != c.warns {
			t.Errorf("%v: the log says\n%s", c.flags, s.log)
		}
	}
}

// TestServiceUnit holds the documented unit against the command line and what hardens it.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../docs/odometer.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077", "MemoryMax=4G", "[Install]", "StateDirectory=odometer"} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	_, start, _ := strings.Cut(string(unit), "\nExecStart=")
	start, _, _ = strings.Cut(start, "\n")
	config := filepath.Join(t.TempDir(), "odometer.yaml")
	if err := os.WriteFile(config, []byte("log-format: json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.ReplaceAll(start, "/etc/odometer/odometer.yaml", config))
	if args[0] != "/usr/local/bin/odometer" || args[1] != "serve" {
		t.Fatalf("it starts %v", args)
	}
	env, _, _ := testEnv(nil)
	app, err := newApp(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.parser.Parse(args[1:]); err != nil || app.cli.Serve.Data != "/var/lib/odometer" || app.cli.Serve.LogFormat != "json" {
		t.Errorf("%v: %v", args, err)
	}
}

// TestServeTLS serves HTTPS with a certificate made for the test.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	roots := writeCertificate(t, cert, key)
	s := fresh(t, "--tls-cert", cert, "--tls-key", key)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	response, err := client.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	client.CloseIdleConnections()
	if !strings.HasPrefix(s.url, "https://") || response.StatusCode != http.StatusOK {
		t.Errorf("%s answers %s", s.url, response.Status)
	}
	s.stop()
}

// TestServeHangup renews the certificate of a running server, which goes on at SIGHUP.
func TestServeHangup(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	writeCertificate(t, cert, key)
	hangups := make(chan os.Signal)
	env, _, log := testEnv(nil)
	reader, writer := io.Pipe()
	env.Stdout, env.Hangups = writer, func() (<-chan os.Signal, func()) { return hangups, func() {} }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, env, []string{"serve", "--data", filepath.Join(folder, "data"), "--listen", "127.0.0.1:0",
			"--limits.min-free-disk", "1MiB", "--tls-cert", cert, "--tls-key", key})
		_ = writer.Close()
	}()
	var url string
	for lines := bufio.NewScanner(reader); url == "" && lines.Scan(); {
		_, url, _ = strings.Cut(lines.Text(), "listening: ")
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	roots := writeCertificate(t, cert, key)
	hangups <- syscall.SIGHUP
	hangups <- syscall.SIGHUP // taken once the first is done
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	hangups <- syscall.SIGHUP
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	response, err := client.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	client.CloseIdleConnections()
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
	for _, want := range []string{"was read again", "was not read again"} {
		if !strings.Contains(log.String(), "hangup: the certificate") || !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say that the certificate %s:\n%s", want, log)
		}
	}
}

// writeCertificate makes a self-signed certificate for 127.0.0.1.
func writeCertificate(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, content := range map[string][]byte{cert: text, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return roots
}

// TestServeJSONLog starts, stops and reads the log line by line.
func TestServeJSONLog(t *testing.T) {
	t.Parallel()
	s := fresh(t, "--log-format", "json")
	s.stop()
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if !strings.Contains(lines[len(lines)-1], `"stopped"`) {
		t.Errorf("the last line is %s", lines[len(lines)-1])
	}
}

// TestClientWithoutServer expects an error that says what was tried.
func TestClientWithoutServer(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	environ := map[string]string{"ODOMETER_URL": "http://" + closed.Addr().String(), "ODOMETER_KEY": "k"}
	code, _, errs := command(t, environ, "backup", t.TempDir()+"/b")
	if code != exitFailed || !strings.Contains(errs, closed.Addr().String()) {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
