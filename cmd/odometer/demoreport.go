package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/background"
	"odometer/internal/marketplace/simulator"
)

// demoMarkets is the three marketplaces, simulated on a loopback address.
type demoMarkets struct {
	url    string
	server *http.Server
	jobs   background.Jobs
	err    error // of the server, once the job has ended
}

func startDemoMarkets(ctx context.Context, env *Env) (*demoMarkets, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("simulate marketplaces: %w", err)
	}
	m := &demoMarkets{url: "http://" + listener.Addr().String(), server: &http.Server{Handler: simulator.New(simulator.Options{Clock: env.Clock}), ReadHeaderTimeout: time.Minute}}
	m.jobs.Start(ctx, func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { _ = m.server.Close() })
		defer stop()
		m.err = m.server.Serve(listener)
	})
	return m, nil
}

func (m *demoMarkets) close() error {
	m.jobs.Stop()
	if errors.Is(m.err, http.ErrServerClosed) {
		return nil
	}
	return m.err
}

// use points a server's reporter to the marketplaces.
func (m *demoMarkets) use(s *ServerSettings) {
	s.Reporter.Enabled = true
	s.Marketplace.AWS.Endpoint, s.Marketplace.Azure.Endpoint, s.Marketplace.GCP.Endpoint = m.url, m.url, m.url
}

// demoHour is the last hour that the reporter takes as closed, five minutes after its end.
func demoHour(now time.Time) time.Time {
	return now.UTC().Add(-5 * time.Minute).Truncate(time.Hour).Add(-time.Hour)
}

// demoEntitlement is what one of the sample customers bought through a
// marketplace: gigabytes, read from a meter, and hours of support, which the seller reports.
type demoEntitlement struct{ id, customer, partner, listing string }

var demoEntitlements = []demoEntitlement{
	{"ent-aws", "game-hub", "AWS", "aws: {product_code: demo-product, customer_identifier: game-hub-at-aws}"},
	{"ent-azure", "video-lane", "AZURE", "azure: {resource_id: 7f2c6f7e-0000-4000-8000-000000000001, plan_id: gold}"},
	{"ent-gcp", "news-daily", "GCP", `gcp: {service: cdn.example.com, usage_reporting_id: "project_number:1", ` +
		"metrics: {gb_out: {name: cdn.example.com/gb_out, type: INT64}, support: {name: cdn.example.com/support, type: INT64}}}"},
}

// appendDemoEntitlements appends that part of the catalog. They start with
// the hour that the demo reports: earlier usage is billed otherwise.
func appendDemoEntitlements(text []byte, now time.Time) []byte {
	text = append(text, "entitlements:\n"...)
	for _, e := range demoEntitlements {
		text = fmt.Appendf(text, "  - id: %s\n    customer: %s\n    partner: %s\n    product: %s\n    starts: %s\n    %s\n    dimensions:\n"+
			"      - {key: gb_out, name: GB out, unit_price: \"0.05\", meter: edge_bytes, scale: \"0.000000001\"}\n"+
			"      - {key: support, name: Hours of support, unit_price: \"90\"}\n",
			e.id, e.customer, e.partner, demoProduct, demoHour(now).Format(time.RFC3339), e.listing)
	}
	return text
}

// report reports the last hour to the marketplaces and prints what they took.
func (d *demoShow) report(ctx context.Context, w io.Writer, now time.Time) error {
	hour := demoHour(now)
	var all []client.Report
	for _, e := range demoEntitlements {
		if err := d.postSupport(ctx, e.id, hour); err != nil {
			return err
		}
		reports, err := d.api.RunReport(ctx, e.id, hour, false)
		if err != nil {
			return fmt.Errorf("report the hour of entitlement %s: %w", e.id, err)
		}
		all = append(all, reports...)
	}
	fmt.Fprintf(w, "\nThe hour from %s (UTC), reported to simulated marketplaces\n", hour.Format("15:04"))
	return printReports(w, all)
}

// postSupport reports two and a half hours of support as Suger's clients do.
func (d *demoShow) postSupport(ctx context.Context, entitlement string, hour time.Time) error {
	body, err := json.Marshal(map[string]any{"organizationID": "default", "entitlementID": entitlement, "records": map[string]json.Number{"support": "2.5"},
		"timestamp": hour.Add(10 * time.Minute)})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/org/default/entitlement/"+entitlement+"/usageRecordGroup", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Key "+d.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("report support of %s: %w", entitlement, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("report support of %s: %s: %s", entitlement, response.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

func sugerLine(_ context.Context, d *demoShow) (demoLine, error) {
	e := demoEntitlements[0]
	return demoLine{"Suger's API: what was reported to " + e.partner + " of " + e.customer,
		fmt.Sprintf("curl -s -H 'Authorization: Key %s' '%s/org/default/usageRecordReport?entitlementId=%s'", d.key, d.url, e.id)}, nil
}
