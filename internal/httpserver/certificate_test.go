package httpserver

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRenewedCertificate renews the files while the server runs, a file at a time.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := selfSigned(t)
	newCert, newKey, _ := selfSigned(t)
	var log bytes.Buffer
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	c, err := newCertificate(certFile, keyFile, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(pair.Certificate[0])
	}
	first := served()
	pair, err := tls.LoadX509KeyPair(newCert, newKey)
	if err != nil {
		t.Fatal(err)
	}
	second := string(pair.Certificate[0])
	move := func(from, to string, age time.Duration) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err == nil {
			err = os.Chtimes(to, time.Time{}, now.Add(age))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move(newCert, certFile, time.Minute)
	if now = now.Add(certificateEvery - 1); served() != first {
		t.Error("the files were looked at too early")
	}
	if now = now.Add(1); served() != first || !strings.Contains(log.String(), "cannot be used") {
		t.Errorf("half of a renewal is served, or nothing is logged: %s", &log)
	}
	said := log.Len()
	if now = now.Add(certificateEvery); served() != first || log.Len() != said {
		t.Error("the same files are read, and complained about, again")
	}
	if c.load() == nil || served() != first {
		t.Error("a certificate without its key was loaded")
	}
	move(newKey, keyFile, 2*time.Minute)
	if now = now.Add(certificateEvery); served() != second {
		t.Errorf("the renewed certificate is not served: %s", &log)
	}
	move(newCert, certFile, 3*time.Minute)
	if err := c.load(); err != nil || served() != second {
		t.Errorf("loading by hand: %v", err)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if now = now.Add(certificateEvery); served() != second {
		t.Error("files that went away took the certificate with them")
	}
}
