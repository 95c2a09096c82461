package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TLS is a certificate for 127.0.0.1 and localhost by a throw-away authority,
// as files in PEM.
type TLS struct {
	CA, Cert, Key string
	roots         *x509.CertPool
}

// NewTLS makes an authority and lets it certify this machine for a day.
func NewTLS(t testing.TB) *TLS {
	t.Helper()
	dir := t.TempDir()
	now := time.Now()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "odometer test authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Check(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Check(t, err)
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	Check(t, err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		Check(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, &signer.PublicKey, signer)
	Check(t, err)
	leaf, err := x509.CreateCertificate(rand.Reader, server, authority, &key.PublicKey, signer)
	Check(t, err)
	trusted, err := x509.ParseCertificate(root)
	Check(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(trusted)
	return &TLS{write("ca.pem", "CERTIFICATE", root), write("cert.pem", "CERTIFICATE", leaf), write("key.pem", "PRIVATE KEY", keyBytes), pool}
}

// client returns an HTTP client that trusts the authority and no other.
func (c *TLS) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.roots}}}
}

// Config returns what a server in the test needs to serve TLS.
func (c *TLS) Config(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	Check(t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}
