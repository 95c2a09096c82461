package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"odometer/client"
	"odometer/internal/surface/akamai/edgegrid"
)

// demoShow is what the demo prints from: a server with the sample catalog
// and two months of usage.
type demoShow struct {
	api    *client.Client
	url    string
	key    string    // an admin's
	folder string    // for files of the demo
	month  time.Time // first instant of the last whole month
}

// demoLine is a command that can be pasted into a shell while the demo runs.
type demoLine struct {
	title   string
	command string
}

// demoLineMakers make the lines in the order in which they are printed, one an API.
var demoLineMakers = []func(context.Context, *demoShow) (demoLine, error){
	nativeLine, fastlyLine, akamaiLine, thousandEyesLine, sugerLine,
}

// printLines prints a line for each API.
func (d *demoShow) printLines(ctx context.Context, w io.Writer) error {
	for _, newLine := range demoLineMakers {
		line, err := newLine(ctx, d)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\n%s:\n  %s\n", line.title, line.command)
	}
	return nil
}

// monthRange is the last whole month as Fastly and Akamai name it.
func (d *demoShow) monthRange() (this, next string) {
	return d.month.Format("2006-01"), d.month.AddDate(0, 1, 0).Format("2006-01")
}

func nativeLine(_ context.Context, d *demoShow) (demoLine, error) {
	query := url.Values{"from": {d.month.Format(time.RFC3339)}, "to": {d.month.AddDate(0, 1, 0).Format(time.RFC3339)}, "window": {"month"}, "group_by": {"customer"}}
	return demoLine{"native API: bytes of each customer", fmt.Sprintf("curl -s -H 'Authorization: Bearer %s' '%s/api/v1/meters/edge_bytes/usage?%s'",
		d.key, d.url, query.Encode())}, nil
}

func fastlyLine(_ context.Context, d *demoShow) (demoLine, error) {
	this, _ := d.monthRange()
	query := url.Values{"product_id": {demoProduct}, "usage_type_name": {"Total GB"}, "time_granularity": {"month"}, "start_month": {this}, "end_month": {this}}
	customer := demoCustomers[demoShown]
	return demoLine{"Fastly's API: GB of each service of " + customer.id, fmt.Sprintf("curl -s -H 'Fastly-Key: %s' '%s/billing/v2/account_customers/%s/service-usage-metrics?%s'",
		d.key, d.url, customer.id, query.Encode())}, nil
}

// akamaiLine makes a key that signs, and has the line sign at the time when it is pasted.
func akamaiLine(ctx context.Context, d *demoShow) (demoLine, error) {
	customer := demoCustomers[demoShown]
	k, err := d.api.CreateEdgeGridKey(ctx, client.NewKey{Role: "read", Customer: customer.id})
	if err != nil {
		return demoLine{}, fmt.Errorf("create a key for Akamai's API: %w", err)
	}
	file := filepath.Join(d.folder, "edgerc")
	host := strings.TrimPrefix(d.url, "http://")
	if err := writeEdgeRC(file, host, edgegrid.Identity{ClientToken: k.ClientToken, AccessToken: k.AccessToken, Secret: k.ClientSecret}); err != nil {
		return demoLine{}, fmt.Errorf("write the credential for Akamai's API: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return demoLine{}, fmt.Errorf("find this program: %w", err)
	}
	this, next := d.monthRange()
	address := fmt.Sprintf("%s/billing/v1/contracts/%s/products/%s/usage/monthly-summary?%s", d.url, customer.contract(), demoProduct, url.Values{"start": {this}, "end": {next}}.Encode())
	return demoLine{"Akamai's API: the month of contract " + customer.contract() + " of " + customer.id,
		fmt.Sprintf("u='%s'; curl -s -H \"$('%s' sign --edgerc '%s' \"$u\")\" \"$u\"", address, program, file)}, nil
}

func thousandEyesLine(_ context.Context, d *demoShow) (demoLine, error) {
	customer := demoCustomers[demoShown]
	return demoLine{"ThousandEyes' API: units of " + customer.id + " in this month so far", fmt.Sprintf("curl -s -H 'Authorization: Bearer %s' '%s/v7/usage?%s'",
		d.key, d.url, url.Values{"aid": {customer.aid()}, "expand": {"test"}}.Encode())}, nil
}
