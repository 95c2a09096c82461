package akamai

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"odometer/client"
	"odometer/compat/harness"
)

// summary is a request that is answered 200.
func summary(as string) call {
	return call{As: as, Path: site + "monthly-summary", Query: months("LAST", "THIS")}
}

// TestKeysEnd signs with credentials that were good once: a revoked one is
// refused from the next request on, and one that has expired.
func TestKeysEnd(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t, nil)
	c, ok := clients("")["python"](t)
	if !ok {
		return
	}
	k := s.NewKey(t, map[string]any{"role": "read", "kind": "edgegrid", "customer": "shop"})
	s.keys["revoked"] = credential{k.ClientToken, k.AccessToken, k.ClientSecret}
	if r := s.calls(t, c, []call{summary("revoked")})[0]; r.Status != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	if a := s.Do(t, http.MethodDelete, "/api/v1/keys/"+k.ID, "", "Authorization", "Bearer "+s.Admin); a.Status >= 300 {
		t.Fatalf("%+v", a)
	}
	inactive(t, s.calls(t, c, []call{summary("revoked")})[0])

	expires := time.Now().Add(10 * time.Second) // the key is made before, also where that is slow
	s.keys["expired"] = s.credential(t, map[string]any{"role": "read", "customer": "shop", "expires": expires.UTC().Format(time.RFC3339Nano)})
	for { // each try starts the client anew
		began := time.Now()
		r := s.calls(t, c, []call{summary("expired")})[0]
		if r.Status == http.StatusOK && began.Before(expires) {
			continue
		}
		inactive(t, r)
		return
	}
}

func inactive(t *testing.T, r result) {
	t.Helper()
	if r.Status != http.StatusUnauthorized || !strings.Contains(r.Body, `"Inactive client token"`) {
		t.Errorf("%+v", r)
	}
}

// TestBehindTLSTerminator has a proxy end TLS and keep host and target: the
// scheme that clients sign is that of public-url, and no other is accepted.
func TestBehindTLSTerminator(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	certificate := harness.NewTLS(t)
	s := startServer(t, nil, "--public-url", "https://meter.example")
	inner, err := url.Parse(s.URL)
	harness.Check(t, err)
	terminator := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(inner)) // which keeps Host
	terminator.TLS = &tls.Config{Certificates: certificate.Config(t).Certificates}
	terminator.StartTLS()
	t.Cleanup(terminator.Close)
	for name, install := range clients(certificate.CA) {
		c, ok := install(t)
		if !ok {
			continue
		}
		outside := *s
		outside.host, outside.ca = terminator.URL, certificate.CA
		results := outside.calls(t, c, []call{summary("shop"), monthly()["1 odd ids"].call, monthly()["1 switch, raw"].call, summary("wrong secret")})
		for i, want := range []int{200, 200, 200, 401} {
			if results[i].Status != want {
				t.Errorf("%s, call %d: %+v, want %d", name, i, results[i], want)
			}
		}
		if name == "node" { // it speaks HTTPS only
			continue
		}
		if r := s.calls(t, c, []call{summary("shop")})[0]; r.Status != 401 || !strings.Contains(r.Body, "The signature does not match") {
			t.Errorf("%s, signed as http: %+v", name, r)
		}
	}
}

// TestPlainHTTP signs http, as clients do that were given such an address.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t, nil)
	for name, install := range clients("") {
		if name == "node" { // it speaks HTTPS only
			continue
		}
		if c, ok := install(t); ok {
			results := s.calls(t, c, []call{summary("shop"), monthly()["1 odd ids"].call, summary("wrong secret")})
			for i, want := range []int{200, 200, 401} {
				if results[i].Status != want {
					t.Errorf("%s, call %d: %+v, want %d", name, i, results[i], want)
				}
			}
		}
	}
}

// lateUsage is a difference that TestClosedMonth shows.
var lateUsage = harness.Difference{What: "usage that comes after its month was closed", Vendor: "not known", Evidence: "no source",
	Ours: "counts and sums of it are an entry of their own in the open month"}

// TestClosedMonth closes LAST and then sends more of it. The clients read
// DATA_FINALIZED with the same figures, and what came late in the open month.
func TestClosedMonth(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	c, ok := clients("")["go"](t)
	if !ok {
		return
	}
	s := startServer(t, nil)
	closing := s.names.Replace(`{"customer":"shop","month":"LAST"}`)
	if a := s.Do(t, http.MethodPost, "/api/v1/periods", closing, "Authorization", "Bearer "+s.Admin, "Content-Type", "application/json"); a.Status >= 300 {
		t.Fatalf("closing: %d %s", a.Status, a.Body)
	}
	s.Send(t, client.Event{ID: "late", Source: "test", Type: "edge", Subject: "shop", Time: s.last.AddDate(0, 0, 2),
		Data: map[string]any{"contract": "K-0N7RAK7", "cp_code": "7654321", "region": "eu", "bytes": 2_000_000_000}})
	results := s.calls(t, c, []call{summary("shop"), {As: "shop", Path: site + "daily?month=LAST"}, {As: "shop", Path: site + "monthly-summary?start=THIS&end=NEXT"}})
	want := of("K-0N7RAK7", siteNames+","+inLast+`,"usagePeriods":[`+last+"]}")
	got, _ := decoded(t, results[0])
	if wanted := object(t, strings.ReplaceAll(s.names.Replace(want), "COLLECTING_DATA", "DATA_FINALIZED")); !reflect.DeepEqual(got, wanted) {
		t.Errorf("%+v\nwant %s", results[0], want)
	}
	if v, ok := decoded(t, results[1]); !ok || v["dataStatus"] != "DATA_FINALIZED" || !strings.Contains(outline(t, v), "Total MB:10.875123..11.325123/15") {
		t.Errorf("%+v", results[1])
	}
	decoded(t, results[2])
	late := s.names.Replace(`{"month":"THIS","start":"LAST-01","end":"LAST-15","region":"GLOBAL","dataStatus":"COLLECTING_DATA",`)
	if !strings.Contains(results[2].Body, late) || !strings.Contains(results[2].Body, `"statType":"Total MB","unit":"GB","isBillable":true,"value":2}`) {
		t.Errorf("%s: %s\nwant %s", lateUsage.What, results[2].Body, late)
	}
}
