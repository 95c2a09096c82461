package suger

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"odometer/internal/access"
)

const batchPath, validatePath = orgPath + "/batchCreateUsageRecordGroups", orgPath + "/batchValidateUsageRecordGroups"

// item is a group of a batch with an id.
func item(id, fields string) string {
	return `{"id":"` + id + `","entitlementID":"ent-1",` + fields + `}`
}

// TestBatchIDs: an id counts once, however and as often as it is sent.
func TestBatchIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	two := "[" + item("a", `"records":{"gb":1}`) + "," + item("b", `"records":{"gb":2}`) + "]"
	w.want("POST", validatePath, two, 200)
	w.want("POST", batchPath, two, 200, `"id":"a"`, `"id":"b"`)
	w.want("POST", batchPath, two, 409, `"a"`, "usage record group 0", "CREATED")
	w.want("POST", validatePath, two, 409, `"a"`)
	// One that is known keeps the others from being stored.
	w.want("POST", batchPath, "["+item("c", `"records":{"gb":4}`)+","+item("b", `"records":{"gb":2}`)+"]", 409, `"b"`, "usage record group 1")
	w.want("POST", batchPath, "["+item("c", `"records":{"gb":4}`)+","+item("d", `"records":{"gb":2}`)+","+item("c", `"records":{"gb":4}`)+"]", 409, `"c"`, "usage record group 2")
	w.want("POST", validatePath, "["+item("c", `"records":{"gb":4}`)+","+item("c", `"records":{"gb":5}`)+"]", 409, `"c"`)
	// Between the two operations, also where the group would be refused today, and after it was deleted.
	w.want("POST", reportPath, v1("a", `{"gb":1}`), 409, `"a"`)
	w.report(v1("e", `{"gb":8}`))
	w.want("POST", batchPath, "["+item("e", `"records":{"nothing":1}`)+"]", 409, `"e"`)
	w.want("DELETE", orgPath+"/usageRecordGroup/a", "", 200)
	w.want("POST", batchPath, "["+item("a", `"records":{"gb":1}`)+"]", 409, "DELETED")
	// Without ids nothing is the same.
	for range 2 {
		w.want("POST", batchPath, `[{"entitlementID":"ent-1","records":{"gb":16}},{"entitlementID":"ent-1","records":{"gb":16},"id":""}]`, 200)
	}
	if got := w.usage("posted"); got != "74" { // 2 + 8 + 4 x 16
		t.Errorf("usage %s", got)
	}
	for body, text := range map[string]string{
		item(strings.Repeat("x", 37), `"records":{"gb":1}`):               "36",
		item("n", `"ID":"m","records":{"gb":1}`):                          "given twice",
		item("n", `"organizationID":"other","records":{"gb":1}`):          "organizationID",
		item("n", `"organizationID":7,"records":{"gb":1}`):                "organizationID",
		item("n", `"organizationID":"default","records":{"gb":1,"gb":1}`): "given twice",
		`{"id":null,"entitlementID":"ent-1","records":{"gb":1}}`:          "id",
		`{"id":7,"entitlementID":"ent-1","records":{"gb":1}}`:             "id",
	} {
		w.want("POST", batchPath, "["+body+"]", 400, text)
	}
	w.want("POST", batchPath, "["+item("own", `"organizationID":"default","records":{"gb":1}`)+"]", 200, `"id":"own"`)
}

// TestAllocationsAreRefused: what would be dropped on the way to the marketplace
// is not taken, by either operation.
func TestAllocationsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const tags = `{"gb":[{"quantity":1,"tags":[{"key":"team","value":"a"}]}]}`
	for field, status := range map[string]int{
		`"usageAllocations":` + tags: 400, `"UsageAllocations":` + tags: 400, `"usageAllocations":[1]`: 400, `"metaInfo":{"usageAllocations":` + tags + `}`: 400,
		`"usageAllocations":{}`: 200, `"usageAllocations":null`: 200, `"usageAllocations":[ ]`: 200, `"metaInfo":{"usageAllocations":{ }}`: 200, `"metaInfo":[1]`: 200, `"metaInfo":"x"`: 200,
	} {
		text := ""
		if status == 400 {
			text = "usageAllocations"
		}
		group := `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},` + field + `}`
		w.want("POST", reportPath, group, status, text)
		w.want("POST", batchPath, "["+group+"]", status, text)
		w.want("POST", validatePath, "["+group+"]", status)
	}
}

// TestPathsOfTheJavaClient: it encodes the literal parts of a path.
func TestPathsOfTheJavaClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.report(v1("g-1", `{"gb":1}`))
	w.report(v1("/g/2", `{"gb":1}`))
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/%2Forg%2F/default/%2FusageRecordGroup", "", "g-1"},
		{"GET", "/%2Forg%2F/default/%2FusageRecordGroup?limit=1", "", "serialID"},
		{"GET", "/%2forg%2f/default/%2fusageMeteringConfigInfo", "", "partnerUsageMeteringConfigs"},
		{"GET", "/api.suger.cloud/%2Forg%2F/default/%2FbillableMetric", "", "[]"},
		{"POST", "/%2Forg%2F/default/%2Fentitlement%2F/ent-1/%2FusageRecordGroup", v1("g-3", `{"gb":1}`), "g-3"},
		{"DELETE", "/%2Forg%2F/default/%2FusageRecordGroup%2F/g-1", "", "DELETED"},
		{"DELETE", "/org/default/usageRecordGroup/%2Fg%2F2", "", "DELETED"}, // an id may have slashes
	} {
		w.want(c.method, c.path, c.body, 200, c.want)
	}
	w.want("GET", "/%2Forg%2F/default/%2Fnothing", "", 404)
}

// TestBatchIDsOfBoundKeys: a bound key is not told what became of a group.
func TestBatchIDsOfBoundKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("POST", batchPath, "["+item("a", `"records":{"gb":1}`)+"]", 200)
	w.key = w.NewKey(access.RoleReport, "acme")
	if text := w.want("POST", batchPath, "["+item("a", `"records":{"gb":1}`)+"]", 409); strings.Contains(text, "CREATED") {
		t.Error(text)
	}
}

// TestIdempotencyKeys: a key makes each operation that reports safe to send
// again, and is not thrown away by the others that create.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	send := func(path, body, key string, status int, want ...string) {
		t.Helper()
		w.send("POST", path, body, http.Header{"Authorization": {w.key}, "Idempotency-Key": {key}}).want(t, path+" "+body, status, want...)
	}
	for range 2 {
		send(reportPath, v1("", `{"gb":1}`), "k1", 200, `"serialID":1,`)
	}
	send(reportPath, v1("", `{"gb":2}`), "k1", 409, "another request")
	for range 2 {
		send(reportPath, v1("named", `{"gb":4}`), "k2", 200, `"id":"named"`, `"serialID":2,`)
	}
	w.want("POST", reportPath, v1("named", `{"gb":4}`), 409, "named")
	send(reportPath, v1("named", `{"gb":4}`), "k3", 409, "named")
	for range 2 {
		send(batchPath, "["+item("x", `"records":{"gb":8}`)+"]", "k1", 200, `"id":"x"`, `"serialID":3,`) // keys of each operation are its own
	}
	send(batchPath, "["+item("x", `"records":{"gb":8}`)+"]", "k4", 409, `"x"`)
	send(batchPath, "["+item("y", `"records":{"gb":8}`)+","+item("y", `"records":{"gb":8}`)+"]", "k5", 409, `"y"`)
	send(reportPath, v1("", `{"gb":1}`), strings.Repeat("k", 256), 400, "255")
	send(metricPath, `{"name":"Some metric","aggregationType":"COUNT"}`, "k1", 400, "Idempotency-Key")
	if got := w.usage("posted"); got != "13" {
		t.Errorf("usage %s", got)
	}
	// A key that is empty, or one of two, keeps nothing from counting twice.
	for _, keys := range [][]string{{""}, {"k6", "k6"}, {"k6", "k7"}} {
		h := http.Header{"Authorization": {w.key}, "Idempotency-Key": keys}
		w.send("POST", reportPath, v1("", `{"gb":1}`), h).want(t, fmt.Sprintf("%q", keys), 400, "Idempotency-Key")
		w.send("POST", batchPath, "["+item("z", `"records":{"gb":8}`)+"]", h).want(t, fmt.Sprintf("%q", keys), 400, "Idempotency-Key")
		w.send("POST", metricPath, `{"name":"Some metric","aggregationType":"COUNT"}`, h).want(t, fmt.Sprintf("%q", keys), 400, "Idempotency-Key")
	}
	if got := w.usage("posted"); got != "13" {
		t.Errorf("usage %s", got)
	}
}
