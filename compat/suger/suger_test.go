package suger

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"odometer/compat/harness"
)

// call is a call of the client under test.
type call struct {
	Operation    string         `json:"operation"`
	Organization string         `json:"organization,omitempty"`
	Path         []string       `json:"path,omitempty"`
	Query        map[string]any `json:"query,omitempty"`
	Model        string         `json:"model,omitempty"`
	Body         any            `json:"body,omitempty"`
	Key          string         `json:"key"`
	Prefix       string         `json:"prefix,omitempty"`
	Naive        bool           `json:"naive,omitempty"` // the timestamp has no zone
	Again        bool           `json:"again,omitempty"` // the body is what was answered before
	Host         string         `json:"host,omitempty"`
}

type fields = map[string]any

// group is what the client decodes of a group.
type group struct {
	ID             string
	Status         string
	Partner        string
	SerialID       int
	BuyerID        string
	OrganizationID string
	Records        map[string]json.Number
	MetaInfo       struct {
		OriginRecords   map[string]json.Number
		BillableRecords []struct {
			Key        string
			Properties fields
			Quantity   json.Number
		}
		Source, Timestamp string
	}
}

// script is what one run of the client does: calls in order, each with what is
// to be said of its result. A run takes seconds to begin, so there is one.
type script struct {
	*server
	t      *testing.T
	calls  []call
	checks []func(harness.Result)
}

func (s *script) add(c call, check func(harness.Result)) {
	if c.Key == "" {
		c.Key, c.Prefix = s.key, "Key"
	}
	s.calls, s.checks = append(s.calls, c), append(s.checks, check)
}

// then adds a call that has to be answered.
func then[T any](s *script, c call, check func(T)) {
	s.add(c, func(r harness.Result) {
		if r.Status != http.StatusOK {
			s.t.Errorf("%s: %s %d %s", c.Operation, r.Error, r.Status, r.Body)
			return
		}
		check(harness.Decode[T](s.t, r))
	})
}

// fails adds a call that has to end in an exception.
func (s *script) fails(c call, class string, status int, text string) {
	s.add(c, func(r harness.Result) {
		if r.Error != class || r.Status != status || !strings.Contains(r.Body, text) {
			s.t.Errorf("%s: %s %d %q, want %s %d with %q", c.Operation, r.Error, r.Status, r.Body, class, status, text)
		}
	})
}

// TestClient uses every operation as the vendor's Python client does.
func TestClient(t *testing.T) {
	t.Parallel()
	client, ok := pythonClient(t)
	if !ok {
		return
	}
	s := &script{server: startServer(t), t: t}
	s.reports()
	s.metrics()
	s.config()
	s.batches()
	s.life()
	s.lists()
	s.refusals()
	s.hosts()
	for i, r := range harness.Calls(t, client, map[string]any{"host": s.front, "organization": "default"}, s.calls) {
		s.checks[i](r)
	}
	if n := s.seen(); n < len(s.calls)-1 {
		t.Errorf("%d answers of %d calls went past", n, len(s.calls))
	}
	for customer, want := range map[string]string{"acme": "1012.5000001", "beta": "3.25"} {
		if got := s.posted(t, customer); got != want {
			t.Errorf("usage of %s: %s, want %s", customer, got, want)
		}
	}
}

func report(id string, more fields) call {
	body := fields{"organizationID": "default", "entitlementID": "ent-1", "records": fields{}}
	if id != "" {
		body["id"] = id
	}
	for name, v := range more {
		body[name] = v
	}
	return call{Operation: "report_usage_record_group", Path: []string{"ent-1"}, Model: "CreateUsageRecordGroupParams", Body: body}
}

func (s *script) reports() {
	then(s, report("py-1", fields{"records": fields{"gb": 0.5, "Seats": 3}, "timestamp": "2026-01-02T03:04:05.678901+02:00"}), func(g group) {
		if g.ID != "py-1" || g.Status != "CREATED" || g.Partner != "AWS" || g.BuyerID != "buyer-1" || g.OrganizationID != "default" || fmt.Sprint(g.Records) != "map[gb:0.5 seat:3]" ||
			fmt.Sprint(g.MetaInfo.OriginRecords) != "map[gb:0.5 seat:3]" || g.MetaInfo.Source != "API" || !strings.HasPrefix(g.MetaInfo.Timestamp, "2026-01-02 01:04:05.678901") {
			s.t.Errorf("%+v", g)
		}
	})
	naive := report("py-2", fields{"records": fields{"gb": 1e-7}, "timestamp": "2026-01-02T03:04:05"})
	naive.Naive = true
	then(s, naive, func(g group) {
		if !strings.HasPrefix(g.MetaInfo.Timestamp, "2026-01-02 03:04:05") {
			s.t.Errorf("%+v", g)
		}
	})
	then(s, report("", fields{"records": fields{"gb": 2}, "metaInfo": fields{"source": "ORB", "SkipValidation": true}}), func(g group) {
		if len(g.ID) != 36 || g.MetaInfo.Source != "API" {
			s.t.Errorf("%+v", g)
		}
	})
}

// metric is what the client decodes of a metric.
type metric struct {
	ID, Name, Description, AggregationType, Status, OrganizationID string
	Info                                                           struct {
		GroupBys     []string
		FilterGroups []struct{ Filters []fields }
	}
}

func (s *script) metrics() {
	body := fields{"id": "api-calls", "name": "API calls", "description": "calls of the API", "aggregationType": "SUM", "info": fields{"groupBys": []string{"os", "cluster"},
		"filterGroups": []fields{{"filters": []fields{{"name": "region", "operation": "IS", "value": fields{"value": "eu"}, "valueType": "STRING"}, {"name": "code", "operation": "GTE", "value": fields{"x": 500}, "valueType": "FLOAT"}}},
			{"filters": []fields{{"name": "beta", "operation": "NOT_EXISTS"}}}}}}
	then(s, call{Operation: "create_billable_metric", Model: "BillableMetric", Body: body}, func(m metric) {
		if m.ID != "api-calls" || m.Name != "API calls" || m.Status != "ACTIVE" || m.AggregationType != "SUM" || m.OrganizationID != "default" || fmt.Sprint(m.Info.GroupBys) != "[os cluster]" ||
			fmt.Sprint(m.Info.FilterGroups[0].Filters[0]["value"]) != "map[value:eu]" || fmt.Sprint(m.Info.FilterGroups[0].Filters[1]["value"]) != "map[value:500]" {
			s.t.Errorf("%+v", m)
		}
	})
	for i, aggregation := range []string{"COUNT", "UNIQUE_COUNT", "MAX", "LAST"} {
		then(s, call{Operation: "create_billable_metric", Model: "BillableMetric", Body: fields{"id": fmt.Sprint("m-", i), "name": aggregation + " of users",
			"aggregationType": aggregation, "info": fields{"propertyUniqueOn": "user"}}}, func(metric) {})
	}
	then(s, call{Operation: "get_billable_metric", Path: []string{"api-calls"}}, func(m metric) {
		if m.Description != "calls of the API" {
			s.t.Errorf("%+v", m)
		}
	})
	then(s, report("py-v2", fields{"billableRecords": []fields{{"key": "api-calls", "quantity": 2.5, "properties": fields{"os": "linux", "region": "eu", "deep": fields{"a": []int{1}}}},
		{"key": "m-0"}, {"key": "m-1", "properties": fields{"user": "a"}}}}), func(g group) {
		if records := g.MetaInfo.BillableRecords; len(records) != 3 || records[0].Key != "api-calls" || records[0].Quantity != "2.5" || records[0].Properties["os"] != "linux" {
			s.t.Errorf("%+v", g)
		}
	})
	then(s, call{Operation: "update_billable_metric", Path: []string{"m-0"}, Model: "UpdateBillableMetricParams", Body: fields{"name": "Other", "status": "DELETED"}}, func(m metric) {
		if m.Name != "Other" || m.Status != "DELETED" {
			s.t.Errorf("%+v", m)
		}
	})
	for status, n := range map[string]int{"": 5, "ACTIVE": 4, "DELETED": 1} {
		then(s, call{Operation: "list_billable_metrics", Query: fields{"status": status}}, func(list []metric) {
			if len(list) != n {
				s.t.Errorf("%q: %d metrics, want %d", status, len(list), n)
			}
		})
	}
}

func (s *script) config() {
	type info struct {
		PartnerUsageMeteringConfigs []struct {
			Partner                string
			EnableDimensionMapping bool
			DimensionMappingV2     map[string][]fields
		}
	}
	read := call{Operation: "get_usage_metering_config_info"}
	patch := func(body fields) call {
		return call{Operation: "update_usage_metering_config_info", Model: "UsageMeteringConfigInfo", Body: body}
	}
	then(s, read, func(got info) {
		if len(got.PartnerUsageMeteringConfigs) != 0 {
			s.t.Errorf("%+v", got)
		}
	})
	then(s, patch(fields{"partnerUsageMeteringConfigs": []fields{{"partner": "AWS", "enableDimensionMapping": true,
		"dimensionMapping":   fields{"usd": fields{"dimensionKey": "gb", "mappingMode": "AMOUNT"}},
		"dimensionMappingV2": fields{"mb": []fields{{"dimensionKey": "gb", "convertionMultiplier": 0.001}, {"dimensionKey": "seat"}}}}, {"partner": "GCP"}}}), func(info) {})
	then(s, read, func(info) {})
	// What the client reads it writes again, with an empty object where nothing was.
	again := patch(fields{})
	again.Again = true
	then(s, again, func(got info) {
		if c := got.PartnerUsageMeteringConfigs; len(c) != 2 || !c[0].EnableDimensionMapping || len(c[0].DimensionMappingV2["mb"]) != 2 ||
			fmt.Sprint(c[0].DimensionMappingV2["mb"][0]["convertionMultiplier"]) != "0.001" {
			s.t.Errorf("%+v", got)
		}
	})
	then(s, report("py-mapped", fields{"records": fields{"mb": 1000, "usd": 1}}), func(g group) {
		if fmt.Sprint(g.Records) != "map[gb:5 seat:1000]" || fmt.Sprint(g.MetaInfo.OriginRecords) != "map[mb:1000 usd:1]" {
			s.t.Errorf("%+v", g)
		}
	})
	then(s, patch(fields{"partnerUsageMeteringConfigs": []fields{{"partner": "AWS"}}}), func(info) {})
}

func item(entitlement string, records fields) fields {
	return fields{"entitlementID": entitlement, "records": records}
}

func (s *script) batches() {
	then(s, call{Operation: "batch_report_usage_record_groups", Model: "NewUsageRecordGroup",
		Body: []fields{item("ent-2", fields{"gb": 1}), item("ent-3", fields{"GB out": 2.25})}}, func(made []group) {
		if len(made) != 2 || made[0].Partner != "AZURE" || made[1].Partner != "GCP" || made[1].Records["gb"] != "2.25" || made[1].SerialID != made[0].SerialID+1 {
			s.t.Errorf("%+v", made)
		}
	})
	then(s, call{Operation: "batch_validate_usage_record_groups", Model: "NewUsageRecordGroup", Body: []fields{item("ent-1", fields{"gb": 1})}}, func(got string) {
		if got != "" {
			s.t.Errorf("%q", got)
		}
	})
}

func (s *script) life() {
	then(s, report("py-doomed", fields{"records": fields{"gb": 40}}), func(group) {})
	for range 2 {
		then(s, call{Operation: "delete_usage_record_group", Path: []string{"py-doomed"}}, func(g group) {
			if g.Status != "DELETED" {
				s.t.Errorf("%+v", g)
			}
		})
	}
}

func (s *script) lists() {
	type page struct {
		UsageRecordGroups []group
		NextOffset        *int
	}
	list := func(query fields, check func(page)) {
		then(s, call{Operation: "list_usage_record_groups", Query: query}, check)
	}
	var all, paged []string
	list(nil, func(p page) {
		for _, g := range p.UsageRecordGroups {
			all = append(all, g.ID)
		}
		if len(all) != 8 || p.NextOffset != nil || !slices.IsSortedFunc(p.UsageRecordGroups, func(a, b group) int { return b.SerialID - a.SerialID }) {
			s.t.Errorf("%+v", p)
		}
	})
	for offset := 0; offset < 9; offset += 3 {
		list(fields{"limit": 3, "offset": offset}, func(p page) {
			for _, g := range p.UsageRecordGroups {
				paged = append(paged, g.ID)
			}
			if last := offset == 6; last != (p.NextOffset == nil) || !last && *p.NextOffset != offset+3 || last && !slices.Equal(all, paged) {
				s.t.Errorf("from %d: %+v", offset, p)
			}
		})
	}
	for name, c := range map[string]struct {
		query fields
		n     int
	}{
		"partner": {fields{"partner": "GCP"}, 1}, "buyer": {fields{"buyer_id": "buyer-1"}, 6}, "entitlement": {fields{"entitlement_id": "ent-2"}, 1}, "status": {fields{"status": "DELETED"}, 1},
		"source": {fields{"source": "API"}, 8}, "any source": {fields{"source": ""}, 8}, "meta info": {fields{"meta_info": `{"originRecords":{"mb":1000}}`}, 1}, "its text": {fields{"meta_info": "linux"}, 1},
		"past": {fields{"end_date": "2020-01-01"}, 0},
	} {
		list(c.query, func(p page) {
			if len(p.UsageRecordGroups) != c.n {
				s.t.Errorf("%s: %d groups, want %d", name, len(p.UsageRecordGroups), c.n)
			}
		})
	}
}

func (s *script) refusals() {
	read := s.NewKey(s.t, map[string]any{"role": "read"}).Token
	s.fails(report("py-1", fields{"records": fields{"gb": 1}}), "ConflictException", 409, "py-1")
	s.fails(report("", fields{"records": fields{"gb": 0}}), "BadRequestException", 400, "all the quantity of usage records are zero")
	s.fails(report("", fields{"records": fields{"gb": -1}}), "BadRequestException", 400, "negative")
	s.fails(call{Operation: "batch_report_usage_record_groups", Model: "NewUsageRecordGroup", Body: []fields{}}, "BadRequestException", 400, "1 to 1000")
	s.fails(call{Operation: "batch_validate_usage_record_groups", Model: "NewUsageRecordGroup", Body: []fields{item("nothing", fields{"gb": 1})}}, "ServiceException", 500, "nothing")
	s.fails(call{Operation: "get_billable_metric", Path: []string{"nothing"}}, "NotFoundException", 404, "nothing")
	s.fails(call{Operation: "create_billable_metric", Model: "BillableMetric", Body: fields{"id": "posted", "name": "Taken", "aggregationType": "SUM"}}, "ConflictException", 409, "posted")
	s.fails(call{Operation: "delete_usage_record_group", Path: []string{"nothing"}}, "NotFoundException", 404, "nothing")
	s.fails(call{Operation: "delete_usage_record_group", Path: []string{"py-1"}, Query: fields{"creation_date": "2001-01-01"}}, "NotFoundException", 404, "2001-01-01")
	s.fails(call{Operation: "retry_usage_record_group", Path: []string{"py-1"}}, "BadRequestException", 400, "REPORT_FAILED")
	s.fails(call{Operation: "list_usage_record_groups", Query: fields{"partner": "AWS", "buyer_id": "x"}}, "BadRequestException", 400, "at most one")
	s.fails(call{Operation: "list_billable_metrics", Key: "none"}, "UnauthorizedException", 401, "key")
	s.fails(call{Operation: "list_billable_metrics", Key: read, Prefix: "Key"}, "ForbiddenException", 403, "role")
	s.fails(call{Operation: "list_billable_metrics", Organization: "other"}, "ForbiddenException", 403, "organization")
}

// hosts are given with and without a slash, keys with and without a prefix.
func (s *script) hosts() {
	for _, host := range []string{s.front + "/", s.front + "//api.suger.cloud"} {
		for _, prefix := range []string{"Key", "Bearer", ""} {
			then(s, call{Host: host, Operation: "get_usage_metering_config_info", Key: s.key, Prefix: prefix}, func(fields) {})
		}
		then(s, call{Host: host, Operation: "report_usage_record_group", Path: []string{"ent-1"}, Model: "CreateUsageRecordGroupParams",
			Body: fields{"organizationID": "default", "entitlementID": "ent-1", "records": fields{"gb": 1}}}, func(group) {})
	}
}

// TestGoForms sends what the vendor's Go client sends and its Python client does not.
func TestGoForms(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	const base = "//api.suger.cloud/org/default"
	post := func(body string) harness.Answer {
		return s.ask(t, "POST", base+"/entitlement/ent-1/usageRecordGroup", body, "Authorization", "Key "+s.key, "Content-Type", "application/json", "Accept", "application/json", "User-Agent", "OpenAPI-Generator/1.0.0/go")
	}
	s.metric(t, base)
	for body, has := range map[string]string{
		`{"entitlementID":"ent-1","id":"go-1","organizationID":"default","records":{"gb":1.2345679e+08},"timestamp":"2026-01-02T03:04:05.123456789+05:30"}`: `"timestamp":"2026-01-01T21:34:05.123456Z"`,
		`{"billableRecords":[{"key":"calls","properties":{"os":null},"quantity":0.1}],"entitlementID":"ent-1","organizationID":"default","records":null}`:   `"quantity":0.1`,
		`{"entitlementID":"ent-1","organizationID":"default","records":{"gb":1e-07}}`:                                                                       `"gb":0.0000001`,
		`{"ENTITLEMENTID":"ent-1","ID":"go-2","organizationid":"default","records":{"gb":3}}`:                                                               `"id":"go-2"`,
	} {
		if a := post(body); a.Status != 200 || !strings.Contains(a.Body, has) {
			t.Errorf("%s: %d %s, want %s", body, a.Status, a.Body, has)
		}
	}
	// Bodyless calls have no content type; a path has its slash escaped.
	post(`{"entitlementID":"ent-1","id":"go/3","organizationID":"default","records":{"gb":3}}`)
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"POST", "/usageRecordGroup/go%2F3/retry", 400}, {"DELETE", "/usageRecordGroup/go%2F3?creationDate=", 200}, {"GET", "/usageRecordGroup?source=&limit=1000&offset=0", 200},
		{"GET", "/usageRecordGroup/go%2F3", 405}, {"GET", "/billableMetric/calls", 200}, {"GET", "/usageMeteringConfigInfo", 200},
	} {
		if a := s.ask(t, c.method, base+c.target, ""); a.Status != c.status || a.Header.Get("Location") != "" {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.target, a.Status, a.Body, c.status)
		}
	}
	if got := s.posted(t, "acme"); got != "123456793.0000001" {
		t.Errorf("usage %s", got)
	}
}

// metric creates the metric that Go's records are of.
func (s *server) metric(t *testing.T, base string) {
	t.Helper()
	a := s.ask(t, "POST", base+"/billableMetric", `{"id":"calls","name":"Calls","aggregationType":"SUM","info":{"filterGroups":null,"groupBys":null}}`)
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
}

// TestOtherSurfaces: what is reported here is shown by a surface that maps it.
func TestOtherSurfaces(t *testing.T) {
	t.Parallel()
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	a := s.ask(t, "POST", "/org/default/entitlement/ent-1/usageRecordGroup",
		`{"organizationID":"default","entitlementID":"ent-1","records":{"gb":12.5,"seat":1},"timestamp":"2026-03-04T05:06:07Z"}`)
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	key := s.NewKey(t, map[string]any{"role": "read", "customer": "acme"}).Token
	got := s.Do(t, "GET", "/billing/v3/usage-metrics?start_month=2026-03&end_month=2026-03", "", "Fastly-Key", key)
	if got.Status != 200 || !strings.Contains(got.Body, `"name":"Reported"`) || !strings.Contains(got.Body, "12.5") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// pythonClient is the vendor's client; not ok where the tests are short or it
// cannot be installed.
func pythonClient(t *testing.T) (client harness.Client, ok bool) {
	t.Helper()
	if harness.Short(t) {
		return client, false
	}
	return harness.Python(t, "suger", "python.txt", "client.py")
}
