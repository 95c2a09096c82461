package native

import (
	"testing"
)

func TestUnattributed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.meters()
	w.want(w.call("POST", "/api/v1/catalog", `{"customers":[{"id":"acme","services":[{"id":"shop"}]},{"id":"zeta"}]}`), 200)
	w.ingest("["+testEvent("a", "subject", `"acme"`, "data", `{"service":"shop"}`)+","+testEvent("b", "subject", `"acme"`, "data", `{"service":"stall"}`)+","+
		testEvent("c", "subject", `"nobody"`, "data", `{"service":"shop"}`)+"]", 3, 0, 0, 0)
	const path = "/api/v1/unattributed?" + today
	w.want(w.call("GET", path, ""), 200, `{"rows":[{"reason":"customer","customer":"nobody","value":"nobody","meter":"requests","quantity":"1","start":"2026-11-22T00:00:00Z","end":"2026-11-23T00:00:00Z"},`+
		`{"reason":"service","customer":"acme","value":"stall",`, `"rows_left_out":0}`)
	w.want(w.call("GET", path, "", as(w.key("read", "zeta"))...), 200, `{"rows":[],"rows_left_out":0}`)
	w.want(w.call("GET", "/api/v1/unattributed", ""), 400)
	w.want(w.call("GET", path, "", as(w.key("ingest", ""))...), 403)
}
