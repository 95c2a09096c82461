package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/client"
)

// must ends a test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) client(t *testing.T, key, organization string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{URL: w.URL, Key: key, Organization: organization, Compression: client.Gzip})
	must(t, err)
	return c
}

// TestClientMeters calls what is about events, meters and usage in the Go client.
func TestClientMeters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, w.Token, "")
	ctx := context.Background()
	must(t, c.Ready(ctx))
	def := client.Meter{Key: "p", EventType: "e", Aggregation: "PERCENTILE", Value: "bytes", GroupBy: []string{"customer"}, Percentile: "99.9", Rate: true,
		Filters: [][]client.Filter{{{Attribute: "status", Op: "LT", Value: 500}, {Attribute: "status", Op: "NOT_EXISTS"}}}}
	state, err := c.CreateMeter(ctx, def)
	must(t, err)
	again, err := c.CreateMeter(ctx, state.Meter)
	must(t, err)
	if again.Version != state.Version || state.Percentile != "99.9" || state.Sample != "5m" || !state.Backfill.Done {
		t.Errorf("%+v %+v", state, again)
	}
	name := "P"
	if state, err = c.UpdateMeter(ctx, "p", client.MeterPatch{Name: &name}); err != nil || state.Name != "P" {
		t.Errorf("%+v %v", state, err)
	}
	_, err = c.CreateMeter(ctx, client.Meter{Key: "n", EventType: "e", Aggregation: "COUNT"})
	must(t, err)
	r, err := c.IngestAtomic(ctx, client.Event{ID: "1", Source: "s", Type: "e", Subject: "x", Time: start, Data: map[string]any{"bytes": 5, "status": 200}})
	must(t, err)
	if r.Accepted != 1 {
		t.Errorf("%+v", r)
	}
	u, err := c.Usage(ctx, "n", client.UsageQuery{From: start.Add(-time.Hour), To: start.Add(time.Hour), Filters: map[string][]string{"customer": {"x", "y"}}})
	must(t, err)
	if u.Total != "1" || len(u.Rows) != 1 {
		t.Errorf("%+v", u)
	}
	for e, err := range c.Events(ctx, client.EventsQuery{Verdict: client.Accepted, Source: "s", Limit: 1}) {
		if must(t, err); e.Customer != "x" || e.ID != "1" {
			t.Errorf("%+v", e)
		}
	}
	meters, err := c.Meters(ctx)
	must(t, err)
	must(t, c.DeleteMeter(ctx, "n"))
	if _, err := c.Meter(ctx, "n"); len(meters) != 2 || client.KindOf(err) != client.NotFound {
		t.Errorf("%d meters, %v", len(meters), err)
	}
}

// TestClientCatalog calls what is about the catalog in the Go client.
func TestClientCatalog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	c := w.client(t, w.Token, "")
	large := smallCatalog[:len(smallCatalog)-1] + `,"entitlements":[` + strings.Repeat(" ", 1<<20) + `]}` // compressed on its way
	told, err := c.Apply(ctx, []byte(large), client.ApplyOptions{DryRun: true})
	must(t, err)
	did, err := c.Apply(ctx, []byte(large), client.ApplyOptions{Prune: true, Effective: start.Add(-time.Hour)})
	must(t, err)
	if !told.DryRun || did.DryRun || fmt.Sprint(told.Changes) != fmt.Sprint(did.Changes) || len(did.Meters.Create) != 1 || did.Changes[0].Noun != "product" {
		t.Errorf("told %+v, did %+v", told, did)
	}
	text, err := c.Export(ctx)
	must(t, err)
	if again, err := c.Apply(ctx, text, client.ApplyOptions{Prune: true}); err != nil || !again.Empty() {
		t.Errorf("%+v %v", again, err)
	}
	_, err = c.Apply(ctx, []byte("customers:\n- {nam: x}\n- {id: [x]}"), client.ApplyOptions{})
	var said *client.Error
	if !errors.As(err, &said) || said.Kind != client.Invalid || said.Detail != "line 2: customers[0].nam: there is no such field\nline 3: customers[1].id: want one value" {
		t.Errorf("%v", err)
	}
	services := client.OwnOf("acme", "services")
	type service struct{ ID, Name string }
	var made service
	must(t, c.CreateNoun(ctx, services, map[string]string{"id": "a/b"}, &made))
	must(t, c.PatchNoun(ctx, services, "a/b", map[string]any{"name": "both"}, start.Add(-time.Minute), &made))
	if made.Name != "both" {
		t.Errorf("%+v", made)
	}
	var names []string
	for raw, err := range c.Nouns(ctx, services) {
		must(t, err)
		var s service
		must(t, json.Unmarshal(raw, &s))
		names = append(names, s.Name)
	}
	if fmt.Sprint(names) != "[both Shop]" {
		t.Errorf("%v", names)
	}
	if err := c.DeleteNoun(ctx, client.Products, "cdn", time.Time{}); client.KindOf(err) != client.Conflict {
		t.Errorf("a product in use: %v", err)
	}
	must(t, c.DeleteNoun(ctx, services, "a/b", time.Time{}))
	if err := c.Noun(ctx, services, "a/b", &made); client.KindOf(err) != client.NotFound {
		t.Errorf("%v", err)
	}
	w.ingest(testEvent("1"), 1, 0, 0, 0)
	rows, err := c.ProductUsage(ctx, client.ProductQuery{Customer: "acme", Product: "cdn", From: start.Add(-time.Hour), To: start, Window: "hour", GroupBy: []string{"service"}})
	must(t, err)
	if len(rows) != 1 || rows[0].Value != "0.5" || rows[0].Group["service"] != "shop" || rows[0].UsageType != "Hits" || rows[0].Customer != "acme" {
		t.Errorf("%+v", rows)
	}
	// The month is closed, and more comes for it.
	october := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	w.want(w.call("POST", "/api/v1/periods", `{"customer":"acme","month":"2026-10"}`), 201, `"kept":0`)
	w.ingest(testEvent("2", "time", `"2026-10-05T00:00:00Z"`), 1, 0, 0, 0)
	rows, err = c.ProductUsage(ctx, client.ProductQuery{Customers: []string{"acme"}, UsageType: "Hits", From: october, To: start.AddDate(0, 1, 0), Window: "month", TimeZone: "Europe/Oslo"})
	must(t, err)
	if len(rows) != 2 || rows[1].Month != "2026-10" || !rows[1].Late || rows[1].Closed || rows[1].Start.Day() != 1 {
		t.Errorf("%+v", rows)
	}
	rows, err = c.ProductUsage(ctx, client.ProductQuery{Customer: "acme", UsageType: "Hits", From: october, To: start.AddDate(0, 1, 0), AsOf: october})
	if err != nil || len(rows) != 0 {
		t.Errorf("%+v %v", rows, err)
	}
	u, err := c.Usage(ctx, "hits", client.UsageQuery{From: october, To: start})
	if err != nil || len(u.ClosedMonths) != 1 || u.ClosedMonths[0].Customers[0] != "acme" {
		t.Errorf("%+v %v", u, err)
	}
}

// TestClientCloses closes months of one customer and of all.
func TestClientCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", `{"customers":[{"id":"acme"},{"id":"zeta"}]}`), 200)
	c, err := client.New(client.Options{URL: w.URL, Key: w.Token})
	must(t, err)
	ctx := context.Background()
	p, err := c.ClosePeriod(ctx, "acme", "2026-09")
	if err != nil || p.Customer != "acme" || p.Month != "2026-09" || p.Status != "FINALIZED" || p.Kept == nil || *p.Kept != 0 || p.Warning == "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := c.ClosePeriod(ctx, "acme", "2026-09"); client.KindOf(err) != client.Conflict {
		t.Error(err)
	}
	begun, err := c.CloseMonth(ctx, "2026-09")
	must(t, err)
	done, err := c.WaitClosing(ctx, begun.ID, func(client.Closing) {})
	if err != nil || done.ID != begun.ID || done.Status != "DONE" || done.Customers != 1 || done.Closed != 1 || done.Sequence != p.Sequence {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := c.Closing(ctx, "7"); client.KindOf(err) != client.NotFound {
		t.Error(err)
	}
}

// TestClientEvents sends what an event may leave out or have beside its data.
func TestClientEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	c := w.client(t, w.Token, "")
	ctx := context.Background()
	e := client.Event{ID: "1", Source: "edge", Type: "edge.request", Data: map[string]any{"bytes": json.Number("0.30000000000000004")},
		Extensions: map[string]any{"tenantid": "t1", "shard": 7}}
	r, err := c.Ingest(ctx, e)
	must(t, err)
	if r.Accepted != 1 || r.TimeAssigned != 1 || len(r.Warnings) != 1 || r.Warnings[0].Meter != "bytes" || r.Warnings[0].ID != "1" || r.WarningsLeftOut != 0 {
		t.Errorf("%+v", r)
	}
	l, err := c.Lookup(ctx, "edge", "1")
	must(t, err)
	if !l.Event.Assigned || !l.Event.Time.Equal(l.Event.AcceptedAt) || string(l.Event.Extensions) != `{"shard":7,"tenantid":"t1"}` || string(l.Event.Data) != `{"bytes":0.30000000000000004}` {
		t.Errorf("%+v", l.Event)
	}
	e.ID = "2"
	line, err := json.Marshal(e)
	must(t, err)
	if r, err = c.IngestTimed(ctx, client.ContentNDJSON, line); err != nil || r.Rejected != 1 || r.Errors[0].Reason != "time is missing" {
		t.Errorf("%+v, %v", r, err)
	}
	off := false
	o, err := c.UpdateOrganization(ctx, "default", client.OrganizationPatch{AssignTime: &off})
	must(t, err)
	if o.AssignTime {
		t.Errorf("%+v", o)
	}
	if r, err = c.Ingest(ctx, e); err != nil || r.Rejected != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestClientManagement calls what is about organizations, keys and audit in the Go client.
func TestClientManagement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	c := w.client(t, w.Token, "")
	_, err := c.CreateOrganization(ctx, client.NewOrganization{ID: "acme", Name: "Acme"})
	must(t, err)
	made, err := w.client(t, w.Token, "acme").CreateKey(ctx, client.NewKey{Role: "admin", Expires: start.Add(time.Hour)})
	must(t, err)
	own := w.client(t, made.Token, "")
	attribute := "account"
	o, err := own.UpdateOrganization(ctx, "acme", client.OrganizationPatch{CustomerAttribute: &attribute})
	must(t, err)
	if o.CustomerAttribute != "account" || o.Name != "Acme" {
		t.Errorf("%+v", o)
	}
	var seen []string
	for k, err := range own.Keys(ctx) {
		must(t, err)
		seen = append(seen, k.Role)
	}
	for o, err := range c.Organizations(ctx) {
		must(t, err)
		seen = append(seen, o.ID)
	}
	for e, err := range own.Audit(ctx) {
		must(t, err)
		seen = append(seen, e.Action+" "+e.Noun)
	}
	if want := "[admin acme default update organization create key create organization]"; fmt.Sprint(seen) != want {
		t.Errorf("%v, want %s", seen, want)
	}
	if err := own.RevokeKey(ctx, made.ID); err == nil {
		t.Error("the last admin key was revoked without force")
	}
	must(t, own.ForceRevokeKey(ctx, made.ID))
	if _, err := own.Organization(ctx, "acme"); client.KindOf(err) != client.Unauthenticated {
		t.Error(err)
	}
}
