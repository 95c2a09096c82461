package native

import (
	"testing"
)

// TestHints misspells what a meter and a question can name.
func TestHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	meter := func(body string, want ...string) {
		t.Helper()
		w.want(w.call("POST", "/api/v1/meters", body), 201, want...)
	}
	meter(`{"key":"early","event_type":"edge.request","aggregation":"COUNT"}`, `"preview":{"events":0,"complete":true`, "there are no events yet")
	w.ingest("["+testEvent("1")+","+testEvent("2", "data", `{"service":"web","bytes":"many"}`)+","+testEvent("3", "type", `"other"`)+","+
		testEvent("4", "subject", `"zeta"`, "data", `{"region":"eu","bytes":5}`)+"]", 4, 0, 0, 0)
	meter(`{"key":"bytes","event_type":"edge.request","aggregation":"SUM","value":"bytes","group_by":["service"],"filters":[[{"attribute":"service","op":"EXISTS"}]]}`,
		`"preview":{"events":4,"complete":true,`, `"of_type":3,"left_out":1,"skipped":{"attribute bytes is absent, not a number or beyond the limits":1},"counted":1,"sum":"100",`,
		`"types":{"edge.request":3,"other":1},"attributes":["bytes","region","service"]`)
	meter(`{"key":"typo","event_type":"edge.request","aggregation":"SUM","value":"byts"}`, `"counted":0,"sum":"0"`,
		`3 of the latest 3 events of type \"edge.request\" are skipped: attribute byts is absent, not a number or beyond the limits; they have the attributes \"bytes\", \"region\", \"service\"`)
	meter(`{"key":"notype","event_type":"edge.requests","aggregation":"COUNT"}`, `none of the latest 4 events has the type \"edge.requests\"; they have \"edge.request\", \"other\"`)
	meter(`{"key":"nogroup","event_type":"edge.request","aggregation":"COUNT","group_by":["regoin"]}`, `has the attribute \"regoin\" to group by`)
	meter(`{"key":"nothing","event_type":"edge.request","aggregation":"COUNT","filters":[[{"attribute":"region","op":"IS","value":"us"}]]}`, `filters leave out all of the latest 3`)

	w.backfilled("bytes", "typo", "notype", "nogroup", "nothing") // what a meter skips is known once it is

	usage := func(query string, want ...string) string {
		t.Helper()
		return w.want(w.call("GET", "/api/v1/meters/"+query, ""), 200, want...).Body
	}
	usage("bytes/usage?"+today, `"total":"100"`, `"skipped":{"events":1,"reason":"attribute bytes is absent, not a number or beyond the limits, or a text to group by or to tell apart is longer than 512 bytes"},"hints":[]`)
	usage("typo/usage?"+today, `"skipped":{"events":3,"reason":"attribute byts is absent, not a number or beyond the limits"}`, `attribute byts is absent`)
	usage("notype/usage?"+today, `"skipped":null,"hints":["none of the latest 4 events has the type`)
	usage("early/usage?"+today+"&group_by=regoin", `"hints":["none of the latest 3 events of type \"edge.request\" has the attribute \"regoin\" to group by; they have`)
	usage("early/usage?"+today+"&filter[regoin]=eu", `to filter by; they have`)
	usage("early/usage?"+today+"&filter[region]=us&filter[region]=eu", `"total":"1"`, `"hints":[]`)
	usage("early/usage?"+today+"&filter[region]=us", `has \"us\" in \"region\"; there are \"eu\"`)
	if a := w.call("GET", "/api/v1/meters/typo/usage?"+today, "", "Accept", "text/csv"); a.Header.Get("Odometer-Skipped") != "3" {
		t.Error(a.Header)
	}

	// An extension attribute has the name that meters take it by.
	w.ingest("["+testEvent("5", "type", `"traced"`, "tenantid", `"a"`, "data", `{"size":{"bytes":1}}`)+"]", 1, 0, 0, 0)
	meter(`{"key":"traced","event_type":"traced","aggregation":"COUNT","group_by":["tenant"]}`, `"attributes":["size.bytes","tenantid"]`, `they have the attributes \"size.bytes\", \"tenantid\"`)
	w.backfilled("traced")
	usage("traced/usage?"+today+"&group_by=tenant", `they have the attributes \"size.bytes\", \"tenantid\"`)

	// A bound key hears of its customer's events only.
	zeta := []string{"Authorization", "Bearer " + w.key("read", "zeta")}
	w.want(w.call("GET", "/api/v1/meters/typo/usage?"+today, "", zeta...), 200, `"skipped":null`, `"hints":["1 of the latest 1 events`, `they have the attributes \"bytes\", \"region\""`)

	w.want(w.call("POST", "/api/v1/catalog", smallCatalog), 200)
	w.want(w.call("GET", "/api/v1/usage?customer=acme&"+today+"&group_by=regoin", ""), 200, `the attribute \"regoin\" to group by`)
	w.want(w.call("GET", "/api/v1/usage?customer=acme&"+today+"&service=shpo", ""), 200, `has \"shpo\" in \"service\"; there are \"shop\", \"web\"`)
}
