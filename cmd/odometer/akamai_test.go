package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/surface/akamai/edgegrid"
)

const akamaiCatalog = `
products: [{id: cdn, name: Delivery, usage_types: [{name: Total MB, meter: bytes, unit: GB, scale: "0.000000001", billable: true}]}]
customers: [{id: acme, name: Acme, account_id: A-1, contracts: [{id: K-1, terms: [{products: [cdn], regions: GLOBAL}]}]}]
`

// TestAkamaiIsServed goes from a key created through the API to an answer
// over a connection behind a proxy that ends TLS.
func TestAkamaiIsServed(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	s := fresh(t)
	admin := s.adminKey
	s.post("/api/v1/meters", admin, "application/json", `{"key":"bytes","event_type":"edge","aggregation":"SUM","value":"bytes","group_by":["customer","product","contract"]}`)
	s.post("/api/v1/events", admin, "application/cloudevents+json",
		fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"s","type":"edge","subject":"acme","time":%q,"data":{"bytes":30300000000}}`, now.Format(time.RFC3339)))
	id := edgeGridKey(t, s, admin)
	s.stop()
	applyOffline(t, s.data)
	s = serve(t, s.data, "--public-url", "https://meter.example/")
	defer s.stop()
	target := fmt.Sprintf("/billing/v1/contracts/K-1/products/cdn/usage/monthly-summary?start=%s&end=%s", now.Format("2006-01"), now.AddDate(0, 0, 40).Format("2006-01"))
	for scheme, want := range map[string]string{
		"https": `200 OK "statType":"Total MB","unit":"GB","isBillable":true,"value":30.3}`,
		"http":  `401 Unauthorized "detail":"The signature does not match"`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", edgegrid.Sign(id, edgegrid.Request{Method: r.Method, Scheme: scheme, Host: r.URL.Host, Target: target}, now, scheme))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		status, text, _ := strings.Cut(want, ` "`)
		if err != nil || response.Status != status || !strings.Contains(string(body), `"`+text) {
			t.Errorf("%s: %s %s %v", scheme, response.Status, body, err)
		}
	}
}

// edgeGridKey creates a key that reads the customer acme.
func edgeGridKey(t *testing.T, s *testServer, admin string) edgegrid.Identity {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/keys", strings.NewReader(`{"role":"read","kind":"edgegrid","customer":"acme"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+admin)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var k struct {
		ClientToken  string `json:"client_token"`
		AccessToken  string `json:"access_token"`
		ClientSecret string `json:"client_secret"`
	}
	if err := json.NewDecoder(response.Body).Decode(&k); err != nil || k.ClientSecret == "" {
		t.Fatalf("%s: %+v %v", response.Status, k, err)
	}
	return edgegrid.Identity{ClientToken: k.ClientToken, AccessToken: k.AccessToken, Secret: k.ClientSecret}
}

// applyOffline applies the catalog to a data directory that no server uses.
func applyOffline(t *testing.T, data string) {
	t.Helper()
	doc, err := catalog.ParseDocument([]byte(akamaiCatalog))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	store, err := store.Open(ctx, catalogPath(data), store.Options{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Apply(ctx, catalog.DefaultOrganization, doc, catalog.ApplyOptions{Actor: "test"}); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPublicScheme(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s    ServerSettings
		want string
	}{
		{ServerSettings{}, "http"}, {ServerSettings{TLSCert: "c"}, "https"}, {ServerSettings{PublicURL: "https://x"}, "https"},
		{ServerSettings{PublicURL: "HTTP://x/", TLSCert: "c"}, "http"},
	} {
		if got := c.s.publicScheme(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
}
