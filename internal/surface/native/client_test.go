package native

import (
	"context"
	"fmt"
	"testing"
	"time"

	"odometer/client"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
)

// TestClient makes every call of the Go client against a real server.
func TestClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, httpserver.Options{}, ledger.Limits{})
	ctx := context.Background()
	connect := func(key, organization string) *client.Client {
		c, err := client.New(client.Options{URL: w.url, Key: key, Organization: organization, Compression: client.Gzip})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := connect(w.admin, "")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Ready(ctx))
	_, err := c.CreateOrganization(ctx, client.NewOrganization{ID: "acme", Name: "Acme"})
	must(err)
	operator := connect(w.admin, "acme")
	made, err := operator.CreateKey(ctx, client.NewKey{Role: "admin", Expires: start.Add(time.Hour)})
	must(err)
	own := connect(made.Token, "")
	attribute := "account"
	o, err := own.UpdateOrganization(ctx, "acme", client.OrganizationPatch{CustomerAttribute: &attribute})
	must(err)
	if o.CustomerAttribute != "account" || o.Name != "Acme" {
		t.Errorf("%+v", o)
	}
	def := client.Meter{Key: "p", EventType: "e", Aggregation: "PERCENTILE", Value: "bytes", GroupBy: []string{"customer"}, Percentile: "99.9", Rate: true,
		Filters: [][]client.Filter{{{Attribute: "status", Op: "LT", Value: 500}, {Attribute: "status", Op: "NOT_EXISTS"}}}}
	state, err := own.CreateMeter(ctx, def)
	must(err)
	again, err := own.CreateMeter(ctx, state.Meter)
	must(err)
	if again.Version != state.Version || state.Percentile != "99.9" || state.Sample != "5m" || !state.Backfill.Done {
		t.Errorf("%+v %+v", state, again)
	}
	name := "P"
	if state, err = own.UpdateMeter(ctx, "p", client.MeterPatch{Name: &name}); err != nil || state.Name != "P" {
		t.Errorf("%+v %v", state, err)
	}
	_, err = own.CreateMeter(ctx, client.Meter{Key: "n", EventType: "e", Aggregation: "COUNT"})
	must(err)
	event := client.Event{ID: "1", Source: "s", Type: "e", Time: start, Data: map[string]any{"account": "x", "bytes": 5, "status": 200}}
	r, err := own.IngestAtomic(ctx, event)
	must(err)
	if r.Accepted != 1 {
		t.Errorf("%+v", r)
	}
	u, err := own.Usage(ctx, "n", client.UsageQuery{From: start.Add(-time.Hour), To: start.Add(time.Hour), Filters: map[string][]string{"customer": {"x", "y"}}})
	must(err)
	if u.Total != "1" || len(u.Rows) != 1 {
		t.Errorf("%+v", u)
	}
	for e, err := range own.Events(ctx, client.EventsQuery{Verdict: client.Accepted, Source: "s", Limit: 1}) {
		if must(err); e.Customer != "x" || e.ID != "1" {
			t.Errorf("%+v", e)
		}
	}
	meters, err := own.Meters(ctx)
	must(err)
	must(own.DeleteMeter(ctx, "n"))
	if _, err := own.Meter(ctx, "n"); len(meters) != 2 || client.KindOf(err) != client.NotFound {
		t.Errorf("%d meters, %v", len(meters), err)
	}
	var seen []string
	for k, err := range own.Keys(ctx) {
		must(err)
		seen = append(seen, k.Role)
	}
	for o, err := range c.Organizations(ctx) {
		must(err)
		seen = append(seen, o.ID)
	}
	for e, err := range own.Audit(ctx) {
		must(err)
		seen = append(seen, e.Action+" "+e.Noun)
	}
	want := "[admin acme default delete meter create meter update meter create meter update organization create key create organization]"
	if fmt.Sprint(seen) != want {
		t.Errorf("%v\nwant %s", seen, want)
	}
	must(own.RevokeKey(ctx, made.ID))
	if _, err := own.Organization(ctx, "acme"); client.KindOf(err) != client.Unauthenticated {
		t.Error(err)
	}
}
