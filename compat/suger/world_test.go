package suger

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"odometer/compat/harness"
)

// catalog has an entitlement at each marketplace, and a meter of what is
// reported beside one that the vendor knows nothing of.
const catalog = `
organization: {customer_attribute: account}
meters:
- {key: posted, event_type: suger.record, aggregation: SUM, value: quantity, group_by: [customer, service, dimension, entitlement]}
products:
- {id: cdn, name: Delivery, usage_types: [{name: Reported, meter: posted, where: {dimension: gb}, surfaces: [fastly]}]}
customers: [{id: acme, name: Acme}, {id: beta, name: Beta}]
entitlements:
- {id: ent-1, customer: acme, buyer: {id: buyer-1}, partner: AWS, product: cdn, starts: 2020-01-01, dimensions: [{key: gb, name: GB out, unit_price: "0.25", list_price: "0.5", included: "1"}, {key: seat, name: Seats}],
   terms: [{id: t1, commit: "1", included_per: month}], aws: {product_code: prod1, customer_identifier: aws-1}}
- {id: ent-2, customer: beta, partner: AZURE, product: cdn, starts: 2020-01-01, dimensions: [{key: gb, name: GB out}], azure: {resource_id: 7f2c6f7e-0000-4000-8000-000000000001, plan_id: gold}}
- {id: ent-3, customer: beta, partner: GCP, product: cdn, starts: 2020-01-01, dimensions: [{key: gb, name: GB out}],
   gcp: {service: cdn.example.com, usage_reporting_id: "project:gcp-1", metrics: {gb: {name: gb, type: DOUBLE}}}}
`

// server is a running odometer, behind a proxy that holds every answer against
// the clients' rules.
type server struct {
	*harness.Server
	front string // address of the proxy
	key   string // may report
	seen  func() int
}

func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{Server: harness.Start(t, harness.World{Catalog: catalog, Flags: flags})}
	s.key = s.NewKey(t, map[string]any{"role": "report"}).Token
	target, err := url.Parse(s.URL)
	harness.Check(t, err)
	var mu sync.Mutex
	answers := 0
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			mu.Lock()
			defer mu.Unlock()
			answers++
			asked := path.Clean(strings.Replace(r.Request.URL.EscapedPath(), "/api.suger.cloud", "", 1))
			for _, wrong := range breaches(r.Request.Method, asked, r.StatusCode, r.Header.Get("Content-Type"), body) {
				t.Errorf("%s %s: %s in %.300s", r.Request.Method, asked, wrong, body)
			}
			return nil
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	s.front = front.URL
	s.seen = func() int { mu.Lock(); defer mu.Unlock(); return answers }
	return s
}

// ask sends a request through the proxy as no client under test does.
func (s *server) ask(t *testing.T, method, target, body string, header ...string) harness.Answer {
	t.Helper()
	through := *s.Server
	through.URL = s.front
	if len(header) == 0 {
		header = []string{"Authorization", "Key " + s.key}
	}
	return through.Do(t, method, target, body, header...)
}

// posted is how much of a customer's reported usage the native API counts.
func (s *server) posted(t *testing.T, customer string) string {
	t.Helper()
	a := s.Do(t, "GET", "/api/v1/meters/posted/usage?from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&filter%5Bcustomer%5D="+customer, "", "Authorization", "Bearer "+s.Admin)
	_, rest, ok := strings.Cut(a.Body, `"total":"`)
	if a.Status != 200 || !ok {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	total, _, _ := strings.Cut(rest, `"`)
	return total
}
