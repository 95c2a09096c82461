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
		`{"reason":"service","customer":"acme","value":"stall",`, `"next_cursor":null}`)
	w.want(w.call("GET", path, "", as(w.key("read", "zeta"))...), 200, `{"rows":[],"next_cursor":null}`)
	first := read[struct {
		Rows       []struct{ Customer string }
		NextCursor string `json:"next_cursor"`
	}](w, w.want(w.call("GET", path+"&limit=1", ""), 200, `"customer":"nobody"`))
	if len(first.Rows) != 1 {
		t.Errorf("%+v", first)
	}
	w.want(w.call("GET", path+"&limit=1&cursor="+first.NextCursor, ""), 200, `"value":"stall"`, `"next_cursor":null`)
	w.want(w.call("GET", path+"&cursor="+first.NextCursor, "", as(w.key("read", "acme"))...), 400, "not one of this question")
	w.want(w.call("GET", "/api/v1/unattributed?from=2026-11-21T00:00:00Z&to=2026-11-23T00:00:00Z&cursor="+first.NextCursor, ""), 400, "not one of this question")
	w.want(w.call("GET", path+"&cursor=x", ""), 400, "not one of this question")
	w.want(w.call("GET", path+"&limit=10001", ""), 400, "10000")
	w.want(w.call("GET", "/api/v1/unattributed", ""), 400)
	w.want(w.call("GET", path, "", as(w.key("ingest", ""))...), 403)
}
