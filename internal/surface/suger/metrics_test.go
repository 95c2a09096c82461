package suger

import (
	"context"
	"fmt"
	"net/http"
	"odometer/internal/access"
	"odometer/internal/billing"
	"strings"
	"testing"
	"time"

	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/surfacetest"
)

const metricPath = orgPath + "/billableMetric"

// metric creates a metric without filters and group-bys.
func (w *world) metric(id, aggregation string) {
	w.Helper()
	w.want("POST", metricPath, fmt.Sprintf(`{"id":%q,"name":"%s name","aggregationType":%q,"info":{"propertyUniqueOn":"user"}}`, id, id, aggregation), 200)
}

func TestMetricLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if text := w.want("GET", metricPath, "", 200); text != "[]" {
		t.Error(text)
	}
	body := `{"id":"calls","name":"Calls","description":"all","aggregationType":"SUM","status":"DELETED","organizationId":"x","creationTime":"2001-01-01T00:00:00Z",
		"info":{"groupBys":["os","cluster"],"filterGroups":[{"filters":[{"name":"region","operation":"IS","value":"eu","valueType":"STRING"},{"name":"code","operation":"GTE","value":{"value":500}}]},
		{"filters":[{"name":"beta","operation":"NOT_EXISTS"}]}]}}`
	want := `{"id":"calls","name":"Calls","description":"all","aggregationType":"SUM","info":{"filterGroups":[{"filters":[` +
		`{"name":"region","operation":"IS","value":{"value":"eu"},"valueType":"STRING"},{"name":"code","operation":"GTE","value":{"value":500},"valueType":"FLOAT"}]},` +
		`{"filters":[{"name":"beta","operation":"NOT_EXISTS"}]}],"groupBys":["os","cluster"]},"status":"ACTIVE","organizationId":"default",` +
		`"creationTime":"2026-11-22T12:30:00Z","lastUpdateTime":"2026-11-22T12:30:00Z"}`
	if got := w.want("POST", metricPath, body, 200); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := w.want("GET", metricPath+"/calls", "", 200); got != want {
		t.Errorf("%s", got)
	}
	if got := w.want("GET", metricPath, "", 200); got != "["+want+"]" {
		t.Errorf("%s", got)
	}
	w.want("POST", metricPath, body, 409, "calls")
	w.want("POST", metricPath, strings.Replace(body, `"calls"`, `"bytes"`, 1), 409, "bytes") // another meter's
	w.want("GET", metricPath+"/bytes", "", 404, "bytes")
	w.want("PATCH", metricPath+"/bytes", "{}", 404, "bytes")
	later := start.Add(time.Hour)
	w.Clock.Set(later)
	w.want("PATCH", metricPath+"/calls", `{"name":"Other","description":"","status":"DELETED","aggregationType":"MAX"}`, 200,
		`"name":"Other"`, `"status":"DELETED"`, `"aggregationType":"SUM"`, `"creationTime":"2026-11-22T12:30:00Z"`, `"lastUpdateTime":"2026-11-22T13:30:00Z"`)
	if got := w.want("GET", metricPath+"/calls", "", 200); strings.Contains(got, "description") {
		t.Error(got)
	}
	w.want("POST", reportPath, v2("", `[{"key":"calls","quantity":1}]`), 400, `no active billable metric "calls"`)
	for query, n := range map[string]int{"": 1, "?status=": 1, "?status=DELETED": 1, "?status=ACTIVE": 0} {
		if got := surfacetest.Read[[]any](t, w.want("GET", metricPath+query, "", 200)); len(got) != n {
			t.Errorf("%s: %v", query, got)
		}
	}
	w.want("GET", metricPath+"?status=x", "", 400, "status")
	w.want("PATCH", metricPath+"/calls", `{"status":"ACTIVE"}`, 200, `"status":"ACTIVE"`, `"name":"Other"`)
	w.report(v2("", `[{"key":"calls","quantity":1,"properties":{"region":"eu"}}]`))
	w.want("POST", metricPath, `{"aggregationType":"COUNT"}`, 200, `"info":{}`)
}

func TestMetricRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := func(rest string) string { return `{"name":"Name","aggregationType":"SUM",` + rest + `}` }
	filter := func(f string) string { return with(`"info":{"filterGroups":[{"filters":[` + f + `]}]}`) }
	for _, c := range []struct{ body, text string }{
		{"", "empty"}, {"null", "object"}, {"[]", "body"}, {`{"name":5}`, "name"},
		{`{"name":"Name"}`, "aggregationType"},
		{`{"name":"Name","aggregationType":"LATEST"}`, "aggregationType"},
		{`{"name":"Name","aggregationType":"PERCENTILE"}`, "aggregationType"},
		{`{"name":"Name","aggregationType":"UNIQUE_COUNT"}`, "propertyUniqueOn"},
		{`{"name":"abc","aggregationType":"SUM"}`, "4 to 50"},
		{`{"name":"","aggregationType":"SUM"}`, "name"},
		{`{"name":"` + strings.Repeat("x", 51) + `","aggregationType":"SUM"}`, "4 to 50"},
		{with(`"description":"` + strings.Repeat("x", 301) + `"`), "300"},
		{with(`"id":"` + strings.Repeat("x", 37) + `"`), "36"},
		{with(`"id":"two words"`), "letters, digits"},
		{with(`"info":{"groupBys":["a","a"]}`), "twice"},
		{with(`"info":{"groupBys":[""]}`), "empty"},
		{with(`"info":{"groupBys":["a","b","c","d","e","f","g","h","i"]}`), "8"},
		{with(`"info":{"filterGroups":[{}]}`), "alternatives"},
		{filter(`{"operation":"EXISTS"}`), "name is required"},
		{filter(`{"name":"a","operation":"NEQ","value":1}`), "op"},
		{filter(`{"name":"a","operation":"GT","value":"x"}`), "number"},
		{filter(`{"name":"a","operation":"GT","value":"x","valueType":"FLOAT"}`), "FLOAT"},
		{filter(`{"name":"a","operation":"IS","value":"x","valueType":"INT"}`), "valueType"},
		{filter(`{"name":"a","operation":"IS"}`), "value"},
		{filter(`{"name":"a","operation":"IS","value":[1]}`), "value"},
		{filter(`{"name":"a","operation":"IS","value":{"a":1,"b":2}}`), "one member"},
		{filter(`{"name":"a","operation":"IS","value":{"a":{"b":1}}}`), "value"},
		{filter(`{"name":"a","operation":"GT","value":1e30}`), "out of range"},
	} {
		w.want("POST", metricPath, c.body, 400, c.text)
	}
	w.metric("calls", "SUM")
	for _, c := range []struct{ body, text string }{
		{"", "empty"}, {"null", "object"}, {`{"name":"abc"}`, "4 to 50"}, {`{"name":""}`, "name"}, {`{"description":"` + strings.Repeat("x", 301) + `"}`, "300"},
		{`{"status":"GONE"}`, "status"}, {`{"status":""}`, "status"},
	} {
		w.want("PATCH", metricPath+"/calls", c.body, 400, c.text)
	}
	w.want("PATCH", metricPath+"/nothing", "{}", 404, "nothing")
	w.want("GET", metricPath+"/nothing", "", 404, "nothing")
	longest := fmt.Sprintf(`{"name":%q,"description":%q,"aggregationType":"SUM","id":%q}`, strings.Repeat("ü", 50), strings.Repeat("x", 300), strings.Repeat("x", 36))
	w.want("POST", metricPath, longest, 200)
}

// TestMetricsAreMeters: what is reported counts as any other usage does, for
// the entitlement's customer, though the organization's attribute is another.
func TestMetricsAreMeters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("POST", metricPath, `{"id":"sum","aggregationType":"SUM","info":{"groupBys":["os"],"filterGroups":[{"filters":[{"name":"region","operation":"IS","value":{"x":"eu"}}]}]}}`, 200)
	w.metric("max", "MAX")
	w.metric("last", "LAST")
	w.metric("count", "COUNT")
	w.metric("users", "UNIQUE_COUNT")
	w.report(v2("g-1", `[
		{"key":"sum","quantity":1.5,"properties":{"os":"linux","region":"eu","account":"beta"}},
		{"key":"sum","quantity":2,"properties":{"os":"mac","region":"eu"}},
		{"key":"sum","quantity":4,"properties":{"os":"mac","region":"us"}},
		{"key":"max","quantity":0},{"key":"max","quantity":7},{"key":"last","quantity":7},{"key":"last","quantity":3},
		{"key":"count"},{"key":"count","quantity":0},{"key":"users","properties":{"user":"a"}},{"key":"users","properties":{"user":"b"}},{"key":"users","properties":{"user":"a"}},{"key":"users"}]`))
	for key, want := range map[string]string{"sum": "3.5", "max": "7", "count": "2", "users": "2"} {
		if got := w.usage(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
		if key != "max" {
			if got := w.usage(key, where("customer", "acme"), where("entitlement", "ent-1")); got != want {
				t.Errorf("%s of acme: %s, want %s", key, got, want)
			}
		}
	}
	if got := w.usage("sum", where("properties.os", "mac")); got != "2" {
		t.Errorf("on mac: %s", got)
	}
	found, err := w.Service.Lookup(t.Context(), w.Admin, "suger/ent-1", "g-1/0")
	w.Check(err)
	e := found.Event
	if e.Type != "suger.metric.sum" || e.Customer != "acme" || *e.Subject != "acme" || !e.Time.Equal(start) ||
		string(e.Data) != `{"entitlement":"ent-1","product":"cdn","properties":{"account":"beta","os":"linux","region":"eu"},"quantity":1.5}` {
		t.Errorf("%+v %s", e, e.Data)
	}
	if len(found.Counted) != 1 || found.Counted[0].Group["properties.os"] != "linux" || found.Counted[0].Group["customer"] != "acme" {
		t.Errorf("%+v", found.Counted)
	}
}

// TestMetricsThroughTheNativeAPI: their meters can be renamed there within the
// metrics' limits, and cannot be removed.
func TestMetricsThroughTheNativeAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.metric("calls", "SUM")
	ctx := t.Context()
	short, good := "abc", "Good name"
	if _, err := w.Service.UpdateMeter(ctx, w.Admin, "calls", meter.MeterPatch{Name: &short}); meter.KindOf(err) != meter.KindInvalid || err == nil {
		t.Error(err)
	}
	later := start.Add(time.Hour)
	w.Clock.Set(later)
	_, err := w.Service.UpdateMeter(ctx, w.Admin, "calls", meter.MeterPatch{Name: &good})
	w.Check(err)
	w.want("GET", metricPath+"/calls", "", 200, `"name":"Good name"`, `"lastUpdateTime":"2026-11-22T13:30:00Z"`)
	if err := w.Service.DeleteMeter(ctx, w.Admin, "calls"); meter.KindOf(err) != meter.KindConflict {
		t.Error(err)
	}
	_, err = w.Service.Apply(ctx, w.Admin, []byte(document), metering.ApplyOptions{Prune: true})
	w.Check(err)
	w.want("GET", metricPath+"/calls", "", 200)
	_, err = w.Service.Apply(ctx, w.Admin, []byte("meters: [{key: calls, name: abc, event_type: suger.metric.calls, aggregation: SUM, value: quantity, group_by: [customer, entitlement]}]"), metering.ApplyOptions{})
	if meter.KindOf(err) != meter.KindInvalid || err == nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := orgPath + "/usageMeteringConfigInfo"
	if got := w.want("GET", path, "", 200); got != `{"partnerUsageMeteringConfigs":[]}` {
		t.Error(got)
	}
	rest := `"enableCommitWithAdditionalUsageMetering":false,"enableCommitWithAdditionalUsageAtListPrice":false,"enableBillableDimension":false}`
	aws := `{"partner":"AWS","enableDimensionMapping":true,"dimensionMapping":{"x":{"dimensionKey":"gb"}},"dimensionMappingV2":{"y":[{"dimensionKey":"gb","mappingMode":"QUANTITY","convertionMultiplier":0.001},{"dimensionKey":"seat","mappingMode":"AMOUNT"}]},` +
		`"enableCommitWithAdditionalUsageMetering":true,"enableCommitWithAdditionalUsageAtListPrice":true,"enableBillableDimension":true}`
	gcp := `{"partner":"GCP","enableDimensionMapping":false,` + rest
	got := w.want("PATCH", path, `{"partnerUsageMeteringConfigs":[`+strings.Replace(aws, `"AMOUNT"`, `"AMOUNT","convertionMultiplier":0`, 1)+`,{"partner":"GCP","dimensionMapping":null,"dimensionMappingV2":{"z":null,"v":[]}}]}`, 200)
	if want := `{"partnerUsageMeteringConfigs":[` + aws + `,` + gcp + `]}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, body := range []string{`{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true}]}`, `{}`, `{"partnerUsageMeteringConfigs":null}`} {
		want := `{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true,` + rest + `,` + gcp + `]}`
		if got := w.want("PATCH", path, body, 200); got != want {
			t.Errorf("%s: %s", body, got)
		}
		if got := w.want("GET", path, "", 200); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
	one := func(rest string) string { return `{"partnerUsageMeteringConfigs":[{"partner":"AWS",` + rest + `}]}` }
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":{"dimensionKey":"gb"}`, i)
	}
	destinations := strings.Repeat(`{"dimensionKey":"gb"},`, 100)
	for _, c := range []struct{ body, text string }{
		{"", "empty"}, {"null", "object"}, {"[]", "body"},
		{`{"partnerUsageMeteringConfigs":[{}]}`, "partner"}, {`{"partnerUsageMeteringConfigs":[{"partner":""}]}`, "partner"},
		{`{"partnerUsageMeteringConfigs":[{"partner":"CHARGEBEE"}]}`, "partner"}, {`{"partnerUsageMeteringConfigs":[{"partner":"AWS"},{"partner":"AWS"}]}`, "twice"},
		{one(`"enableDimensionMapping":1`), "enableDimensionMapping"},
		{one(`"dimensionMapping":{"x":{"dimensionKey":"gb","convertionMultiplier":0}}`), "not above 0"},
		{one(`"dimensionMapping":{"x":{"dimensionKey":"gb","convertionMultiplier":-1}}`), "not above 0"},
		{one(`"dimensionMapping":{"x":{"dimensionKey":"gb","convertionMultiplier":1e-13}}`), "convertionMultiplier"},
		{one(`"dimensionMapping":{"x":{"dimensionKey":"gb","convertionMultiplier":"1"}}`), "want"},
		{one(`"dimensionMapping":{"x":{"dimensionKey":"gb","mappingMode":"OTHER"}}`), "mappingMode"},
		{one(`"dimensionMapping":{"x":{}}`), "dimensionKey"},
		{one(`"dimensionMapping":{"":{"dimensionKey":"gb"}}`), "256"},
		{one(`"dimensionMapping":{"` + strings.Repeat("k", 257) + `":{"dimensionKey":"gb"}}`), "256"},
		{one(`"dimensionMappingV2":{"x":[{"dimensionKey":"gb","convertionMultiplier":0}]}`), "not above 0"},
		{one(`"dimensionMapping":{` + strings.Join(many, ",") + `}`), "1000"},
		{one(`"dimensionMappingV2":{"x":[` + destinations + `{"dimensionKey":"gb"}]}`), "100"},
	} {
		w.want("PATCH", path, c.body, 400, c.text)
	}
	w.want("PATCH", path, one(`"dimensionMapping":{`+strings.Join(many[:1000], ",")+`},"dimensionMappingV2":{"x":[`+strings.TrimSuffix(destinations, ",")+`]}`), 200)
}

// TestMapping: what a group is worth is decided when it is accepted.
func TestMapping(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	path := orgPath + "/usageMeteringConfigInfo"
	w.want("PATCH", path, `{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true,
		"dimensionMapping":{"mb":{"dimensionKey":"gb","convertionMultiplier":0.001},"usd":{"dimensionKey":"gb","mappingMode":"AMOUNT"}},
		"dimensionMappingV2":{"mb":[{"dimensionKey":"gb","convertionMultiplier":0.002},{"dimensionKey":"seat"}],"free":[{"dimensionKey":"twin","mappingMode":"AMOUNT"}],"lost":[{"dimensionKey":"nowhere"}],"m":[{"dimensionKey":"metered"}]}}]}`, 200)
	g := w.report(v1("g-1", `{"mb":1000,"usd":1,"gb":0.5,"Seats":0.25}`))
	if g.Status != "CREATED" || fmt.Sprint(g.Records) != "map[gb:5.833333333333 seat:1000.25]" || fmt.Sprint(g.MetaInfo.Origin) != "map[gb:0.5 mb:1000 seat:0.25 usd:1]" {
		t.Errorf("%+v", g)
	}
	w.want("POST", reportPath, v1("", `{"mb":1,"nothing":1}`), 400, "nothing")
	w.want("POST", reportPath, v1("", `{"m":1}`), 400, "metered")
	if got := w.usage("posted"); got != "1006.083333333333" {
		t.Errorf("usage %s", got)
	}
	for _, c := range []struct{ source, message string }{{"free", "no unit price"}, {"lost", "nowhere"}} {
		body := w.want("POST", reportPath, v1("bad-"+c.source, `{"`+c.source+`":1}`), 200, `"status":"INVALID"`, c.message, `"originRecords"`)
		if strings.Contains(body, `"records"`) {
			t.Error(body)
		}
		w.want("POST", orgPath+"/batchValidateUsageRecordGroups", `[{"entitlementID":"ent-1","records":{"`+c.source+`":1}}]`, 500, c.message)
	}
	w.want("DELETE", orgPath+"/usageRecordGroup/bad-free", "", 200, `"status":"DELETED"`)
	w.want("PATCH", path, `{"partnerUsageMeteringConfigs":[{"partner":"AWS"}]}`, 200)
	w.want("GET", orgPath+"/usageRecordGroup?entitlementId=ent-1&status=CREATED", "", 200, `"records":{"gb":5.833333333333,"seat":1000.25}`)
	if got := w.usage("posted"); got != "1006.083333333333" {
		t.Errorf("usage %s", got)
	}
	w.want("POST", reportPath, v1("", `{"mb":1}`), 400, "mb")
	// Another partner's entitlements are not mapped.
	w.want("POST", orgPath+"/entitlement/ent-2/usageRecordGroup", `{"organizationID":"default","entitlementID":"ent-2","records":{"mb":1}}`, 400, "mb")
}

// TestPriceOfTheHour: an amount is divided by the price at the start of the
// hour of the usage.
func TestPriceOfTheHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("PATCH", orgPath+"/usageMeteringConfigInfo", `{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true,"dimensionMapping":{"usd":{"dimensionKey":"seat","mappingMode":"AMOUNT"}}}]}`, 200)
	w.Apply(strings.Replace(document, `unit_price: "2"`, `unit_price: "4"`, 1), metering.ApplyOptions{}) // from 12:30 on
	later := start.Add(time.Hour)
	w.Clock.Set(later)
	for at, want := range map[string]string{"12:29:59": "4", "12:45:00": "4", "13:00:00": "2"} {
		w.want("POST", reportPath, `{"organizationID":"default","entitlementID":"ent-1","records":{"usd":8},"timestamp":"2026-11-22T`+at+`Z"}`, 200, `"records":{"seat":`+want+`}`)
	}
}

func TestKeysAndPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := func(authorization ...string) http.Header {
		h := http.Header{}
		if len(authorization) > 0 {
			h["Authorization"] = authorization
		}
		return h
	}
	path := orgPath + "/usageRecordGroup"
	for _, good := range []string{"Key " + w.key, "key " + w.key, "KEY  " + w.key, "Bearer " + w.key, "bearer " + w.key, w.key, " " + w.key} {
		w.send("GET", path, "", with(good)).want(t, good[:4], 200)
	}
	for _, bad := range [][]string{nil, {""}, {"Key"}, {"Key x"}, {"x"}, {"Basic " + w.key}, {"Key " + w.key + " x"}, {"Key " + w.key, "Key " + w.key}} {
		w.send("GET", path, "", with(bad...)).want(t, fmt.Sprint(len(bad)), 401)
	}
	w.send("GET", "/org/other/usageRecordGroup", "", with("Key "+w.key)).want(t, "another organization", 403)
	w.send("GET", "/org/nothing/usageRecordGroup", "", with("Key "+w.key)).want(t, "no organization", 403)
	for role, status := range map[access.Role]int{access.RoleAdmin: 200, access.RoleReport: 200, access.RoleIngest: 403, access.RoleRead: 403} {
		key := w.NewKey(role, "")
		for _, get := range []string{"/usageRecordGroup", "/billableMetric", "/usageMeteringConfigInfo"} {
			w.send("GET", orgPath+get, "", with("Key "+key)).want(t, string(role)+" "+get, status)
		}
		w.send("POST", reportPath, v1("", `{"gb":1}`), with("Key "+key)).want(t, string(role), status)
	}
	for _, loose := range []string{"//api.suger.cloud" + path, "/api.suger.cloud" + path, "/" + path, "//org//default///usageRecordGroup", "//api.suger.cloud//org/default/usageRecordGroup"} {
		w.want("GET", loose, "", 200)
		w.want("POST", strings.Replace(loose, "usageRecordGroup", "entitlement/ent-1/usageRecordGroup", 1), v1("", `{"gb":1}`), 200)
	}
	for _, none := range []string{"/api.suger.cloud/api.suger.cloud" + path, "/api.suger.cloud/healthz", "//healthz", path + "/", "/other" + path} {
		if a := w.send("GET", none, "", with("Key "+w.key)); a.Status != 404 {
			t.Errorf("%s: %d", none, a.Status)
		}
	}
	w.want("PUT", path, "", 405, "GET")
	w.want("DELETE", metricPath+"/x", "", 405, "PATCH")
	w.want("GET", orgPath+"/nothing", "", 404, "no such path")
	w.want("GET", "//api.suger.cloud/org/default/nothing", "", 404, "no such path")
}

// TestBoundKeys: a key of one customer sees and reports that customer's usage only.
func TestBoundKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.report(v1("acme-1", `{"gb":1}`))
	w.key = w.NewKey(access.RoleReport, "beta")
	w.want("POST", reportPath, v1("", `{"gb":1}`), 400, `there is no entitlement "ent-1"`)
	w.want("POST", orgPath+"/entitlement/ent-2/usageRecordGroup", `{"id":"beta-1","organizationID":"default","entitlementID":"ent-2","records":{"gb":1}}`, 200)
	if got := w.want("GET", orgPath+"/usageRecordGroup", "", 200, "beta-1"); strings.Contains(got, "acme") {
		t.Error(got)
	}
	w.want("DELETE", orgPath+"/usageRecordGroup/acme-1", "", 404)
	w.want("POST", orgPath+"/usageRecordGroup/acme-1/retry", "", 404)
	w.want("DELETE", orgPath+"/usageRecordGroup/beta-1", "", 200)
	w.want("POST", orgPath+"/entitlement/ent-2/usageRecordGroup", `{"id":"beta-1","organizationID":"default","entitlementID":"ent-2","records":{"gb":1}}`, 409, "of this id already")
	w.want("POST", metricPath, `{"aggregationType":"SUM"}`, 403)
	w.want("PATCH", orgPath+"/usageMeteringConfigInfo", `{}`, 403)
	w.want("GET", metricPath, "", 200)
}

// TestBoundKeysHaveIDsOfTheirOwn: what one customer's reporter calls its groups
// and requests has nothing to do with what another's does; what a customer's
// own group is called stays taken, whoever reported it.
func TestBoundKeysHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unbound, acme, beta := w.key, w.NewKey(access.RoleReport, "acme"), w.NewKey(access.RoleReport, "beta")
	as := func(key string, header ...string) http.Header {
		h := http.Header{"Authorization": {"Key " + key}}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return h
	}
	of := map[string]string{acme: "ent-1", beta: "ent-2"}
	report := func(key, ent, id string, quantity int, status int, texts ...string) {
		t.Helper()
		body := fmt.Sprintf(`{"id":%q,"organizationID":"default","entitlementID":%q,"records":{"gb":%d}}`, id, ent, quantity)
		w.send("POST", orgPath+"/entitlement/"+ent+"/usageRecordGroup", body, as(key)).want(t, id, status, texts...)
	}
	longest := strings.Repeat("x", billing.MaxGroupIDBytes)
	for _, id := range []string{"g", longest, "~g"} {
		report(acme, "ent-1", id, 1, 200, `"id":"`+id+`"`)
		report(beta, "ent-2", id, 2, 200, `"id":"`+id+`"`)
		report(acme, "ent-1", id, 1, 409)
		report(beta, "ent-2", id, 2, 409)
		report(unbound, "ent-1", id, 1, 409) // the same usage under another key
		report(unbound, "ent-2", id, 2, 409)
	}
	report(unbound, "ent-1", "u", 1, 200)
	report(acme, "ent-1", "u", 1, 409)
	report(beta, "ent-2", "u", 1, 200)
	report(unbound, "ent-2", "u", 1, 409)
	// The events have the reporter's ids, and both count.
	for ent, customer := range map[string]string{"ent-1": "acme", "ent-2": "beta"} {
		r, err := w.Ledger.Lookup(context.Background(), "default", "suger/"+ent, "g/0")
		if err != nil || r.Event.Customer != customer || r.Event.Verdict != meter.Accepted {
			t.Errorf("%+v %v", r.Event, err)
		}
	}
	// Deleting: one's own, or with a key that sees several, which one is meant has to be said.
	w.send("DELETE", orgPath+"/usageRecordGroup/g", "", as(unbound)).want(t, "several", 409, "several customers")
	w.send("DELETE", orgPath+"/usageRecordGroup/u", "", as(unbound)).want(t, "its own first", 200, `"entitlementID":"ent-1"`)
	w.send("DELETE", orgPath+"/usageRecordGroup/g", "", as(beta)).want(t, "beta's", 200, `"id":"g"`, `"entitlementID":"ent-2"`, "DELETED")
	for _, list := range []struct{ key, has string }{{acme, "ent-1"}, {beta, "ent-2"}} {
		a := w.send("GET", orgPath+"/usageRecordGroup", "", as(list.key))
		if !strings.Contains(a.Body, list.has) || strings.Contains(a.Body, map[string]string{"ent-1": "ent-2", "ent-2": "ent-1"}[list.has]) || strings.Contains(a.Body, "serialID") {
			t.Errorf("%s", a.Body)
		}
	}
	if a := w.send("GET", orgPath+"/usageRecordGroup", "", as(unbound)); strings.Count(a.Body, `"id":"g"`) != 2 || !strings.Contains(a.Body, "serialID") {
		t.Errorf("%s", a.Body)
	}
	// Idempotency-Key: the same one of two customers, and one that was used before.
	batch := func(key, ent, once string, quantity int, status int, texts ...string) string {
		t.Helper()
		body := fmt.Sprintf(`[{"organizationID":"default","entitlementID":%q,"records":{"gb":%d}}]`, ent, quantity)
		a := w.send("POST", orgPath+"/batchCreateUsageRecordGroups", body, as(key, "Idempotency-Key", once))
		a.want(t, once, status, texts...)
		return a.Body
	}
	for key, ent := range of {
		first := batch(key, ent, "once", 1, 200, ent)
		if again := batch(key, ent, "once", 1, 200); again != first {
			t.Errorf("sent again: %s\nfirst: %s", again, first)
		}
		batch(key, ent, "once", 2, 409)
	}
	first := batch(unbound, "ent-1", "older", 7, 200) // as a bound key's was kept before keys had scopes of their own
	if again := batch(acme, "ent-1", "older", 7, 200); idOf(again) != idOf(first) {
		t.Errorf("sent again: %s\nfirst: %s", again, first)
	}
	batch(beta, "ent-2", "older", 7, 200) // another request, which is not told of that one
}

// idOf is the first id of an answer.
func idOf(body string) string {
	_, rest, _ := strings.Cut(body, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}
