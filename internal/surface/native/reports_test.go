package native

import (
	"net/http"
	"testing"
)

// soldCatalog is a customer who is billed through AWS by what a meter counts.
const soldCatalog = `
meters: [{key: sold_bytes, event_type: sold, aggregation: SUM, value: bytes}]
products: [{id: sold, name: Sold}]
customers: [{id: buyer, name: Buyer}]
entitlements:
  - {id: sold-1, customer: buyer, partner: AWS, product: sold, starts: 2026-01-01, dimensions: [{key: gb, name: GB, meter: sold_bytes, scale: "0.5"}], aws: {product_code: p1, customer_identifier: c1}}
`

const soldEvent = `{"specversion":"1.0","id":"1","source":"s","type":"sold","subject":"buyer","time":"2026-11-22T10:30:00Z","data":{"bytes":21}}`

func callReports(call func(method, route, path, body string, header ...string)) {
	const run, reconcile, resolve, stuck = "/api/v1/reports/run", "/api/v1/reports/reconcile", "/api/v1/reports/resolve", "/api/v1/reports/stuck"
	call("POST", "/api/v1/catalog", "/api/v1/catalog", soldCatalog, "Content-Type", "application/yaml")
	call("POST", "/api/v1/events", "/api/v1/events", soldEvent)
	call("POST", run, run, `{"entitlement":"sold-1","hour":"2026-11-22T10:00:00Z","dry_run":true}`)
	call("POST", run, run, `{"entitlement":"sold-1","hour":"2026-11-22T10:00:00Z"}`)
	call("POST", run, run, `{"entitlement":"none","hour":"2026-11-22T10:00:00Z"}`)
	call("POST", run, run, `{"entitlement":"sold-1","hour":"2026-11-22T10:30:00Z"}`)
	call("GET", stuck, stuck, "")
	call("POST", reconcile, reconcile, "")
	call("POST", resolve, resolve, `{"report":"r","dimension":"gb","as":"settled"}`)
	call("POST", resolve, resolve, `{"report":"r","dimension":"gb","as":"frozen"}`)
	callListings(call)
}

func TestReportByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(w.call("POST", "/api/v1/catalog", soldCatalog, "Content-Type", "application/yaml"), http.StatusOK)
	w.want(w.call("POST", "/api/v1/events", soldEvent), http.StatusOK)
	type answer struct{ Reports []reportBody }
	for range 2 { // a dry run changes nothing
		got := read[answer](w, w.call("POST", "/api/v1/reports/run", `{"entitlement":"sold-1","hour":"2026-11-22T10:00:00Z","dry_run":true}`))
		if len(got.Reports) != 1 || got.Reports[0].Stored || len(got.Reports[0].Dimensions) != 1 {
			t.Fatalf("%+v", got)
		}
	}
	for range 2 { // and a run happens once
		got := read[answer](w, w.call("POST", "/api/v1/reports/run", `{"entitlement":"sold-1","hour":"2026-11-22T10:00:00Z"}`))
		if len(got.Reports) != 1 || !got.Reports[0].Stored || got.Reports[0].Status != "PENDING" {
			t.Fatalf("%+v", got)
		}
		if p := got.Reports[0].Dimensions[0]; p.Usage.String() != "10.5" || p.Sent.String() != "10" || p.CarryOut.String() != "0.5" || p.State != "frozen" {
			t.Errorf("%+v", p)
		}
	}
	if got := read[stuckBody](w, w.call("GET", "/api/v1/reports/stuck", "")); len(got.Lines) != 1 || got.Lines[0].Quantity.String() != "10" || got.Lines[0].Deadline.IsZero() {
		t.Errorf("%+v", got)
	}
	reader := read[struct{ Key string }](w, w.call("POST", "/api/v1/keys", `{"role":"read"}`))
	w.want(w.call("GET", "/api/v1/reports/stuck", "", as(reader.Key)...), http.StatusForbidden)
}

// TestReconcileTakesNoBody: what a sender means to restrict is not passed over.
func TestReconcileTakesNoBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for body, status := range map[string]int{"": 200, "{}": 200, " \n": 200, `{"dry_run":true}`: 400, `{"entitlement":"sold-1"}`: 400, "[]": 400, "{} {}": 400} {
		if a := w.call("POST", "/api/v1/reports/reconcile", body); a.Status != status {
			t.Errorf("%q: %d, want %d: %s", body, a.Status, status, a.Body)
		}
	}
}
