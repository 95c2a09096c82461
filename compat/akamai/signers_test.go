package akamai

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"odometer/compat/harness"
	"odometer/internal/surface/akamai/edgegrid"
)

// TestJavaSigner lets the vendor's signer for Java sign, and sends what it signed.
func TestJavaSigner(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	c, ok := harness.Java(t, "akamai", "java")
	if !ok {
		return
	}
	s := startServer(t, nil, "--public-url", "https://meter.example") // it signs https, whatever the URL says
	host := strings.TrimPrefix(s.URL, "http://")
	requests := []struct {
		as, target string
		want       int
	}{
		{"shop", site + "monthly-summary?start=LAST&end=THIS", 200},
		{"shop", "/billing/v1/contracts/K-0N7RAK7/products?start=LAST&end=THIS", 200},
		{"switch", site + "monthly-summary?start=LAST&end=THIS&accountSwitchKey=A-CCT7890%3A1-2RBL", 200},
		{"wrong secret", site + "monthly-summary?start=LAST&end=THIS", 401},
		{"nobody", site + "monthly-summary?start=LAST&end=THIS", 401},
	}
	var lines []string
	for i := range requests {
		requests[i].target = s.names.Replace(requests[i].target)
		k := s.keys[requests[i].as]
		lines = append(lines, strings.Join([]string{k.ClientToken, k.AccessToken, k.ClientSecret, host, "https://" + host + requests[i].target}, "\t"))
	}
	var headers []string
	c.With("SIGN="+strings.Join(lines, "\n")).Run(t, nil, &headers)
	if len(headers) != len(requests) {
		t.Fatalf("%d headers for %d requests", len(headers), len(requests))
	}
	for i, r := range requests {
		if status := send(t, host, "GET "+r.target+" HTTP/1.1", host, headers[i]); status != r.want {
			t.Errorf("as %s, %s: %d, want %d", r.as, r.target, status, r.want)
		}
	}
}

// TestWireFormsOfOtherSigners sends what the vendor's clients for Ruby, Perl
// and PHP put on the wire, which the registries that tests may use do not
// have: the request line, the spelling of the host, and the header's form.
func TestWireFormsOfOtherSigners(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t, nil)
	host := strings.TrimPrefix(s.URL, "http://")
	target := s.names.Replace(site + "monthly-summary?start=LAST&end=THIS")
	products := "/billing/v1/contracts/K-0N7RAK7/products"
	for name, c := range map[string]struct {
		line, host         string // as sent
		signedAs, signHost string
		nonce              string
		want               int // 400: signed rightly, and without the months it needs
	}{
		// Net::HTTP with a whole URL as its path: the request line has absolute form.
		"ruby":              {s.URL + target, host, target, host, "9d2cb0a5-fb0e-4d6f-94b6-1cb1d5bb6f8e", 200},
		"ruby, empty query": {s.URL + products + "?", host, products, host, "9d2cb0a5-fb0e-4d6f-94b6-1cb1d5bb6f8f", 400},
		// LWP: origin form, a UUID in capital letters.
		"perl": {target, host, target, host, "9D2CB0A5-FB0E-4D6F-94B6-1CB1D5BB6F8E", 200},
		// Guzzle: origin form, a nonce of hexadecimal bytes.
		"php":                    {target, host, target, host, "9d2cb0a5fb0e4d6f94b61cb1d5bb6f8e", 200},
		"php, nonce in base64":   {target, host, target, host, base64.StdEncoding.EncodeToString([]byte("sixteen bytes ok")), 200},
		"php, host in capitals":  {target, host, target, strings.ToUpper(host), "0d2cb0a5fb0e4d6f94b61cb1d5bb6f8e", 200},
		"an empty query, signed": {products, host, products + "?", host, "1d2cb0a5fb0e4d6f94b61cb1d5bb6f8e", 400},
	} {
		k := s.keys["shop"]
		header := edgegrid.Sign(edgegrid.Identity{ClientToken: k.ClientToken, AccessToken: k.AccessToken, Secret: k.ClientSecret},
			edgegrid.Request{Method: "GET", Scheme: "http", Host: c.signHost, Target: c.signedAs}, time.Now(), c.nonce)
		if status := send(t, host, "GET "+c.line+" HTTP/1.1", c.host, header); status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
	}
}

// send sends a request as it is written and returns the answer's status.
func send(t *testing.T, address, line, host, authorization string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	harness.Check(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "%s\r\nHost: %s\r\nAuthorization: %s\r\nAccept: application/json\r\nConnection: close\r\n\r\n", line, host, authorization)
	harness.Check(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	harness.Check(t, err)
	_ = response.Body.Close()
	return response.StatusCode
}
