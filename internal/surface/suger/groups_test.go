package suger

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/metering"
	"odometer/internal/store/postgrestest"
	"odometer/internal/surface/surfacetest"
)

func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	text := w.want("POST", reportPath, v1("g-1", `{"gb": 1.25, "Seats": 3}`), 200, `"serialID":1,`, `"organizationID":"default"`, `"entitlementID":"ent-1"`,
		`"buyerID":"buyer-1"`, `"partner":"AWS"`, `"status":"CREATED"`, `"records":{"gb":1.25,"seat":3}`, `"originRecords":{"gb":1.25,"seat":3}`,
		`"source":"API"`, `"timestamp":"2026-11-22T12:30:00Z"`, `"creationTime":"2026-11-22T12:30:00Z"`, `"lastUpdateTime":"2026-11-22T12:30:00Z"`)
	for _, unset := range []string{"null", "reportedTime", "usageRecordReportID", "message", "SkipValidation", "billableRecords"} {
		if strings.Contains(text, unset) {
			t.Errorf("%s is in %s", unset, text)
		}
	}
	for _, c := range []struct{ filter, value, want string }{{"dimension", "gb", "1.25"}, {"dimension", "seat", "3"}, {"customer", "acme", "4.25"},
		{"entitlement", "ent-1", "4.25"}, {"product", "cdn", "4.25"}, {"customer", "beta", "0"}} {
		if got := w.usage("posted", where(c.filter, c.value)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.filter, c.value, got, c.want)
		}
	}
	w.want("POST", reportPath, v1("g-1", `{"gb": 1.25}`), 409, "g-1", "CREATED")
	w.want("POST", reportPath, v1("g-1", `{"seat": 1}`), 409, "g-1")
	// Also where it would be refused by now.
	w.want("POST", reportPath, v1("g-1", `{"nothing": 1}`), 409, "g-1")
	w.want("POST", reportPath, v1("g-1", `{"gb": 0}`), 409, "g-1")
	made := w.report(v1("", `{"gb": 1}`))
	if len(made.ID) != 36 || made.Serial != 2 {
		t.Errorf("%+v", made)
	}
	if got := w.usage("posted"); got != "5.25" {
		t.Errorf("usage %s", got)
	}
}

// TestOnPostgreSQL does what the database is asked for.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	database, ok := postgrestest.Start(t)
	if !ok {
		return
	}
	w := newWorldOn(t, database.Fresh(t))
	w.records()
	w.report(v1("g-1", `{"gb":0.000000000001,"seat":99999999999999999999999998}`))
	w.want("POST", reportPath, v1("g-1", `{"gb":1}`), 409, "CREATED")
	w.want("DELETE", orgPath+"/usageRecordGroup/g-1", "", 200, `"records":{"gb":0.000000000001,"seat":99999999999999999999999998}`)
	w.want("DELETE", orgPath+"/usageRecordGroup/g-1", "", 200)
	batch := "[" + strings.Repeat(`{"entitlementID":"ent-1","records":{"gb":1}},`, 999) + `{"entitlementID":"ent-1","records":{"gb":1}}]`
	for range 2 {
		a := w.send("POST", orgPath+"/batchCreateUsageRecordGroups", batch, http.Header{"Authorization": {w.key}, "Idempotency-Key": {"k"}})
		a.want(t, "batch", 200)
	}
	if got := w.usage("posted"); got != "1000" {
		t.Errorf("usage %s", got)
	}
	w.want("GET", orgPath+"/usageRecordGroup?entitlementId=ent-1&status=CREATED&limit=400&offset=800", "", 200, `"serialID":201,`)
	w.metric("m", "SUM")
	w.want("PATCH", metricPath+"/m", `{"status":"DELETED"}`, 200)
	w.want("PATCH", orgPath+"/usageMeteringConfigInfo", `{"partnerUsageMeteringConfigs":[{"partner":"AWS"}]}`, 200)
}

func TestReportForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := 0
	for _, c := range []struct{ body, want string }{
		{`{"ID":"upper","organizationID":"default","entitlementID":"ent-1","records":{"gb":1}}`, `"id":"upper"`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1.0,"seat":0},"unknown":{"a":[1]}}`, `"records":{"gb":1,"seat":0}`},
		{"\xef\xbb\xbf" + `{"organizationID":"default","entitlementID":"ent-1","Records":{"gb":1e-07},"metaInfo":{"SkipValidation":true,"source":"ORB"}}`, `"gb":0.0000001`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1.2345679e+08}}`, `"gb":123456790`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":0.0000000000005}}`, ``}, // to even: 0, and all zero
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":0.0000000000015}}`, `"gb":0.000000000002`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":99999999999999999999999999.999999999999}}`, `"gb":99999999999999999999999999.999999999999`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"billableRecords":null,"timestamp":null}`, `"gb":1`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2026-11-22T12:00:00.123456789+02:00"}`, `"timestamp":"2026-11-22T10:00:00.123456Z"`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2026-11-22T12:00:00.5"}`, `"timestamp":"2026-11-22T12:00:00.5Z"`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2026-11-22 12:00:00"}`, `"timestamp":"2026-11-22T12:00:00Z"`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2026-11-22t12:00:00+0130"}`, `"timestamp":"2026-11-22T10:30:00Z"`},
		{`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2026-11-22T12:35:00Z"}`, `"timestamp":"2026-11-22T12:35:00Z"`},
	} {
		a := w.ask("POST", reportPath, c.body)
		if c.want == "" {
			a.want(t, c.body, 400, "all the quantity of usage records are zero")
			continue
		}
		n++
		a.want(t, c.body, 200, c.want, fmt.Sprintf(`"serialID":%d,`, n))
	}
}

func TestReportRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.metric("m-sum", "SUM")
	w.metric("m-count", "COUNT")
	head := `{"organizationID":"default","entitlementID":"ent-1",`
	for _, c := range []struct{ body, text string }{
		{"", "empty"},
		{"null", "want an object"},
		{"[]", "the body"},
		{"{", "malformed JSON"},
		{head + `"records":{"gb":1}} x`, "more text"},
		{`{"organizationID":"other","entitlementID":"ent-1","records":{"gb":1}}`, "organizationID"},
		{`{"entitlementID":"ent-1","records":{"gb":1}}`, "organizationID"},
		{`{"organizationID":"default","entitlementID":"ent-2","records":{"gb":1}}`, "entitlementID"},
		{`{"organizationID":"default","records":{"gb":1}}`, "entitlementID"},
		{v1(strings.Repeat("x", 37), `{"gb":1}`), "36"},
		{v1("a\tb", `{"gb":1}`), "36"},
		{head + `"id":7,"records":{"gb":1}}`, "id"},
		{head + `"records":{"gb":"1"}}`, `records "gb": want a number`},
		{head + `"records":{"gb":null}}`, `records "gb": want a number`},
		{head + `"records":{"gb":true}}`, `records "gb": want a number`},
		{head + `"records":{"gb":1,"gb":2}}`, "records.gb: is given twice"},
		{head + `"records":{"gb":1},"Records":{"seat":2}}`, `Records: is given twice, also as "records"`},
		{head + `"records":{"gb":1},"records":{"seat":2}}`, "records: is given twice"},
		{head + `"id":"a","ID":"b","records":{"gb":1}}`, "ID: is given twice"},
		{head + `"id":null,"records":{"gb":1}}`, "id: is null"},
		{head + `"records":{"gb":1},"timestamp":"2026-11-22T12:00:00Z","TimeStamp":"2026-11-22T11:00:00Z"}`, "is given twice"},
		{head + `"records":{"g\ud800b":1}}`, "half of a surrogate pair"},
		{head + "\"records\":{\"g\xffb\":1}}", "not valid UTF-8"},
		{head + `"records":[1]}`, "records"},
		{head + `"records":{"gb":-1}}`, "negative"},
		{head + `"records":{"gb":-0.0000000000001}}`, "negative"},
		{head + `"records":{"gb":1e26}}`, "26"},
		{head + `"records":{"gb":3.4028235e+38}}`, "26"},
		{head + `"records":{"gb":1e999}}`, "number"},
		{head + `"records":{"gb":0,"seat":0.0}}`, "all the quantity of usage records are zero"},
		{head + `"records":{}}`, "neither records nor billableRecords"},
		{head + `"records":null}`, "neither records nor billableRecords"},
		{head + `"billableRecords":[]}`, "neither records nor billableRecords"},
		{head + `"records":{"gb":1},"billableRecords":[{"key":"m-count"}]}`, "both"},
		{head + `"records":{"nothing":1}}`, `"nothing"`},
		{head + `"records":{"Same":1}}`, "several dimensions"},
		{head + `"records":{"metered":1}}`, "meter"},
		{head + `"records":{"Metered":1}}`, "meter"},
		{head + `"records":{"gb":1},"timestamp":"2026-11-22T12:35:00.000001Z"}`, "ahead"},
		{head + `"records":{"gb":1},"timestamp":"2025-12-31T23:59:59Z"}`, "not active"},
		{head + `"records":{"gb":1},"timestamp":""}`, "timestamp"},
		{head + `"records":{"gb":1},"timestamp":"yesterday"}`, "timestamp"},
		{head + `"records":{"gb":1},"timestamp":"2026-11-22"}`, "timestamp"},
		{head + `"records":{"gb":1},"timestamp":1763800000}`, "timestamp"},
		{v2("", `[{"key":"unknown","quantity":1}]`), `"unknown"`},
		{v2("", `[{"quantity":1}]`), "key is required"},
		{v2("", `[{"key":"bytes","quantity":1}]`), `no active billable metric "bytes"`}, // a meter, but no metric
		{v2("", `[{"key":"m-sum"}]`), "quantity is required"},
		{v2("", `[{"key":"m-sum","quantity":-1}]`), "negative"},
		{v2("", `[{"key":"m-sum","quantity":"1"}]`), "quantity"},
		{v2("", `[{"key":"m-sum","quantity":1e27}]`), "26"},
		{v2("", `[{"key":"m-sum","quantity":0},{"key":"m-sum","quantity":0}]`), "all the quantity of usage records are zero"},
		{v2("", `[{"key":"m-sum","quantity":1,"properties":[1]}]`), "not an object"},
		{v2("", `[{"key":"m-sum","quantity":1,"properties":"x"}]`), "not an object"},
		{v2("", `[{"key":"m-sum","quantity":1,"properties":{"n":1e30}}]`), "26"},
		{v2("", `[{"key":"m-sum","quantity":1,"properties":{"n":1,"n":2}}]`), "n: is given twice"},
		{v2("", `[{"key":"m-sum","quantity":1,"properties":{"n":"`+strings.Repeat("x", 32<<10+1)+`"}}]`), "longer than"},
		{v2("", `[{"key":"m-sum","quantity":1,"properties":`+strings.Repeat(`{"n":`, 16)+"1"+strings.Repeat("}", 16)+`}]`), "nested"},
		{v2("", `[null]`), "key is required"},
		{v2("", `{}`), "billableRecords"},
	} {
		w.want("POST", reportPath, c.body, 400, c.text)
	}
	for path, text := range map[string]string{"nothing": `there is no entitlement "nothing"`, "ent-3": "not active"} {
		w.want("POST", orgPath+"/entitlement/"+path+"/usageRecordGroup", `{"organizationID":"default","entitlementID":"`+path+`","records":{"gb":1}}`, 400, text)
	}
	w.want("POST", reportPath, strings.Repeat(" ", 5<<20)+v1("", `{"gb":1}`), 413, "5242880")
	w.want("GET", orgPath+"/usageRecordGroup", "", 200, `{"usageRecordGroups":[]}`)
}

// TestEventsOfARequest: at the limit of events, and one past it.
func TestEventsOfARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.metric("m", "COUNT")
	body := func(n int) string {
		return v2("", "["+strings.Repeat(`{"key":"m"},`, n-1)+`{"key":"m"}]`)
	}
	w.want("POST", reportPath, body(20_000), 200)
	w.want("POST", reportPath, body(20_001), 413, "20000")
	if got := w.usage("m"); got != "20000" {
		t.Errorf("usage %s", got)
	}
}

func TestUsageLongAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Apply(strings.Replace(document, "starts: 2026-01-01\n  ends: 2027-01-01", "starts: 2000-01-01\n  ends: 2027-01-01", 1), metering.ApplyOptions{})
	w.want("POST", reportPath, `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2017-01-01T00:00:00Z"}`, 200)
	w.want("POST", reportPath, `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2001-01-01T00:00:00Z"}`, 400, "in the past")
}

func TestConcurrentReportsOfOneID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	var wg sync.WaitGroup
	statuses := make([]int, 16)
	for i := range statuses {
		wg.Go(func() { statuses[i] = w.ask("POST", reportPath, v1("one", `{"gb":1}`)).Status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, s := range statuses {
		count[s]++
	}
	if count[200] != 1 || count[409] != len(statuses)-1 || w.usage("posted") != "1" {
		t.Errorf("%v, usage %s", count, w.usage("posted"))
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	path := orgPath + "/batchCreateUsageRecordGroups"
	item := func(entitlement, records string) string {
		return fmt.Sprintf(`{"entitlementID":%q,"records":%s}`, entitlement, records)
	}
	made := surfacetest.Read[[]group](t, w.want("POST", path, "["+item("ent-1", `{"gb":1}`)+","+item("ent-2", `{"GB out":2}`)+","+item("ent-1", `{"seat":3}`)+"]", 200))
	if len(made) != 3 || made[0].Serial != 1 || made[1].Records["gb"] != "2" || *made[1].Partner != "AZURE" || made[2].Records["seat"] != "3" {
		t.Errorf("%+v", made)
	}
	if w.usage("posted") != "6" || w.usage("posted", where("customer", "beta")) != "2" {
		t.Errorf("usage %s", w.usage("posted"))
	}
	many := func(n int) string {
		return "[" + strings.Repeat(item("ent-1", `{"gb":1}`)+",", n-1) + item("ent-1", `{"gb":1}`) + "]"
	}
	for _, c := range []struct {
		body   string
		status int
		text   string
	}{
		{"[]", 400, "1 to 1000"}, {"null", 400, "1 to 1000"}, {"{}", 400, "the body"}, {"", 400, "empty"}, {"[1]", 400, "group 0"}, {"[null]", 400, "group 0"},
		{"[" + item("ent-1", `{"gb":1}`) + "," + item("", `{"gb":1}`) + "]", 400, "group 1: entitlementID"},
		{"[" + item("ent-1", `{"gb":1}`) + "," + item("ent-1", `{"gb":"1"}`) + "]", 400, "group 1: records"},
		{"[" + item("ent-1", `{"gb":1}`) + "," + item("nothing", `{"gb":1}`) + "]", 400, "group 1: there is no entitlement"},
		{"[" + item("ent-1", `{"gb":1}`) + "," + item("ent-1", `{"gb":0}`) + "]", 400, "group 1: all the quantity of usage records are zero"},
		{many(1001), 413, "1000"},
	} {
		w.want("POST", path, c.body, c.status, c.text)
	}
	if w.usage("posted") != "6" {
		t.Errorf("a refused batch was counted: %s", w.usage("posted"))
	}
	made = surfacetest.Read[[]group](t, w.want("POST", path, many(1000), 200))
	for i, g := range made {
		if g.Serial != 4+i {
			t.Fatalf("group %d has serial %d", i, g.Serial)
		}
	}
	if len(made) != 1000 || w.usage("posted") != "1006" {
		t.Errorf("%d groups, usage %s", len(made), w.usage("posted"))
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	path := orgPath + "/batchCreateUsageRecordGroups"
	body := `[{"entitlementID":"ent-1","records":{"gb":1}},{"entitlementID":"ent-1","records":{"gb":2}}]`
	send := func(key, body string) answered {
		h := http.Header{"Authorization": {"Key " + w.key}}
		if key != "" {
			h.Set("Idempotency-Key", key)
		}
		return w.send("POST", path, body, h)
	}
	first := send("k1", body)
	first.want(t, "first", 200)
	again := send("k1", body)
	if again.want(t, "again", 200); again.Body != first.Body || w.usage("posted") != "3" {
		t.Errorf("%s, then %s; usage %s", first.Body, again.Body, w.usage("posted"))
	}
	send("k1", strings.Replace(body, "2", "3", 1)).want(t, "another request", 409, "idempotency key")
	send("k2", body).want(t, "another key", 200)
	send("", body).want(t, "no key", 200)
	send(strings.Repeat("k", 256), body).want(t, "a long key", 400, "255")
	if w.usage("posted") != "9" {
		t.Errorf("usage %s", w.usage("posted"))
	}
	// What is refused keeps no answer.
	send("k3", `[{"entitlementID":"nothing","records":{"gb":1}}]`).want(t, "refused", 400)
	send("k3", body).want(t, "after a refusal", 200)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := orgPath + "/batchValidateUsageRecordGroups"
	a := w.ask("POST", path, `[{"entitlementID":"ent-1","records":{"gb":1}}]`)
	if a.want(t, "valid", 200); a.Body != "" {
		t.Errorf("%q", a.Body)
	}
	for _, c := range []struct {
		body   string
		status int
		text   string
	}{
		{"", 400, "empty"}, {"[]", 400, "1 to 1000"}, {"{}", 400, "body"}, {`[{"records":{"gb":1}}]`, 400, "entitlementID"},
		{`[{"entitlementID":"ent-1","records":{"gb":"1"}}]`, 400, "number"},
		{`[{"entitlementID":"ent-1","records":{"gb":1}},{"entitlementID":"nothing","records":{"gb":1}}]`, 500, "group 1: there is no entitlement"},
		{`[{"entitlementID":"ent-1","records":{"gb":0}}]`, 500, "all the quantity of usage records are zero"},
		{`[{"entitlementID":"ent-1","records":{"gb":-1}}]`, 500, "negative"},
		{`[{"entitlementID":"ent-1","records":{"gb":1e30}}]`, 500, "26"},
		{`[{"entitlementID":"ent-1"}]`, 500, "neither"},
		{"[" + strings.Repeat(`{"entitlementID":"ent-1","records":{"gb":1}},`, 1000) + `{}]`, 413, "1000"},
	} {
		w.want("POST", path, c.body, c.status, c.text)
	}
	w.want("GET", orgPath+"/usageRecordGroup", "", 200, `{"usageRecordGroups":[]}`)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.records()
	w.metric("m-sum", "SUM")
	w.report(v1("g/1 ü", `{"gb":1,"seat":2}`))
	w.report(v2("g-2", `[{"key":"m-sum","quantity":4},{"key":"m-sum","quantity":5}]`))
	w.report(v1("g-3", `{"gb":7}`))
	escaped := orgPath + "/usageRecordGroup/g%2F1%20%C3%BC"
	w.want("DELETE", escaped+"?creationDate=2026-11-21", "", 404, "2026-11-21")
	w.want("DELETE", escaped+"?creationDate=yesterday", "", 400, "creationDate")
	first := w.want("DELETE", escaped+"?creationDate=2026-11-22", "", 200, `"status":"DELETED"`, `"records":{"gb":1,"seat":2}`)
	if again := w.want("DELETE", escaped, "", 200); again != first { // the vendor's Python client may send it twice
		t.Errorf("%s, then %s", first, again)
	}
	w.want("DELETE", orgPath+"/usageRecordGroup/g-2", "", 200)
	if w.usage("posted") != "7" || w.usage("m-sum") != "0" {
		t.Errorf("usage %s, %s", w.usage("posted"), w.usage("m-sum"))
	}
	w.want("DELETE", orgPath+"/usageRecordGroup/nothing", "", 404, "nothing")
	w.want("POST", reportPath, v1("g-2", `{"gb":1}`), 409, "DELETED")
	w.want("GET", orgPath+"/usageRecordGroup?status=DELETED", "", 200, `"id":"g-2"`)
	w.status("g-3", billing.GroupReportFailed)
	w.want("DELETE", orgPath+"/usageRecordGroup/g-3", "", 400, "REPORT_FAILED", "CREATED or INVALID")
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.report(v1("g", `{"gb":1}`))
	path := orgPath + "/usageRecordGroup/g/retry"
	for _, status := range []string{billing.GroupCreated, billing.GroupInvalid, billing.GroupReportPending, billing.GroupReported, billing.GroupDeleted} {
		w.status("g", status)
		w.want("POST", path, "", 400, status, "only one that is REPORT_FAILED can be retried")
	}
	w.status("g", billing.GroupReportFailed)
	w.want("POST", path+"?creationDate=2026-13-01", "", 400, "creationDate")
	w.want("POST", path+"?creationDate=2026-11-23", "", 404)
	w.want("POST", path+"?creationDate=2026-11-22", "", 200, `"status":"CREATED"`)
	w.want("POST", orgPath+"/usageRecordGroup/nothing/retry", "", 404, "nothing")
}

// status puts a group into a status that only a report can.
func (w *world) status(id, status string) {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+w.dsn+"?_pragma=busy_timeout(5000)")
	w.Check(err)
	_, err = db.ExecContext(w.Context(), "UPDATE record_groups SET status = $1 WHERE id = $2", status, id)
	w.Check(err)
	w.Check(db.Close())
}

func TestLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := orgPath + "/usageRecordGroup"
	ids := func(query string) string {
		t.Helper()
		var names []string
		for _, g := range surfacetest.Read[struct{ UsageRecordGroups []group }](t, w.want("GET", path+query, "", 200)).UsageRecordGroups {
			names = append(names, g.ID)
		}
		return strings.Join(names, " ")
	}
	w.report(v1("g-1", `{"gb":1}`))
	w.want("POST", orgPath+"/entitlement/ent-2/usageRecordGroup", `{"id":"g-2","organizationID":"default","entitlementID":"ent-2","records":{"gb":2.50}}`, 200)
	later := start.Add(24 * time.Hour)
	w.Clock.Set(later)
	w.report(v1("g-3", `{"Seats":3}`))
	w.want("DELETE", path+"/g-3", "", 200)
	for query, want := range map[string]string{
		"":                     "g-3 g-2 g-1",
		"?partner=AZURE":       "g-2",
		"?partner=GCP":         "",
		"?buyerId=buyer-1":     "g-3 g-1",
		"?buyerId=beta":        "g-2",
		"?entitlementId=ent-1": "g-3 g-1",
		"?productId=cdn":       "g-3 g-2 g-1",
		"?productId=x":         "",
		"?status=DELETED":      "g-3",
		"?status=CREATED":      "g-2 g-1",
		"?source=API":          "g-3 g-2 g-1",
		"?source=ORB":          "",
		"?source=&status=&limit=&partner=&startDate=&metaInfo=": "g-3 g-2 g-1",
		"?endDate=2026-11-22":                      "g-2 g-1",
		"?startDate=2026-11-23":                    "g-3",
		"?startDate=2026-11-23&endDate=2026-11-23": "g-3",
		"?endDate=2026-11-21":                      "",
		"?endDate=2026-12-22":                      "g-3 g-2 g-1", // 30 days before: from the 22nd
		"?endDate=2026-12-23":                      "g-3",
		"?endDate=2026-12-24":                      "",
		"?status=CREATED&entitlementId=ent-1":      "g-1",
		"?metaInfo=Seats":                          "",
		"?metaInfo=%22seat%22":                     "g-3",
		"?metaInfo=%7B%22originRecords%22%3A%7B%22gb%22%3A2.5%7D%7D": "g-2",
		"?metaInfo=%7B%22source%22%3A%22API%22%7D&status=CREATED":    "g-2 g-1",
		"?metaInfo=%7B%22nothing%22%3A1%7D":                          "",
		"?limit=0":                                                   "g-3 g-2 g-1",
		"?limit=5000":                                                "g-3 g-2 g-1",
		"?offset=1":                                                  "g-2 g-1",
		"?offset=3":                                                  "",
		"?unknown=1":                                                 "g-3 g-2 g-1",
	} {
		if got := ids(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	w.want("GET", path+"?limit=2", "", 200, `"nextOffset":2`)
	if text := w.want("GET", path+"?limit=2&offset=2", "", 200); strings.Contains(text, "nextOffset") {
		t.Error(text)
	}
	if text := w.want("GET", path+"?limit=3", "", 200); strings.Contains(text, "nextOffset") {
		t.Error(text)
	}
	for query, text := range map[string]string{
		"?partner=x": "partner", "?status=x": "status", "?status=created": "status", "?source=x": "source", "?limit=-1": "limit", "?limit=x": "limit",
		"?limit=1.5": "limit", "?limit=2147483648": "limit", "?offset=-1": "offset", "?offset=x": "offset", "?startDate=x": "startDate",
		"?endDate=2026-02-30": "endDate", "?startDate=2026-11-23&endDate=2026-11-22": "startDate",
		"?partner=AWS&buyerId=x": "at most one", "?productId=cdn&entitlementId=x": "at most one",
	} {
		w.want("GET", path+query, "", 400, text)
	}
}
