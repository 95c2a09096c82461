package suger

import (
	"strings"
	"testing"

	"odometer/compat/harness"
)

// difference is a difference, the request that shows it, and what our answer
// has to say; "!" before it: must not be there.
type difference struct {
	harness.Difference
	method, target, body string
	status               int
	has                  string
}

const (
	sdk  = "read in the SDK"
	docs = "vendor's documentation"
)

var differences = []difference{
	{harness.Difference{What: "id of a billable metric", Vendor: "any text of at most 36 characters", Evidence: sdk, Ours: "letters, digits, `_`, `.` and `-`, as for a meter"},
		"POST", "/billableMetric", `{"id":"two words","name":"Name","aggregationType":"SUM"}`, 400, "letters"},
	{harness.Difference{What: "`aggregationType` LATEST", Vendor: "named in prose; LAST in the clients", Evidence: docs, Ours: "LAST"},
		"POST", "/billableMetric", `{"name":"Name","aggregationType":"LATEST"}`, 400, "LAST"},
	{harness.Difference{What: "group-bys of a metric", Vendor: "no limit known", Evidence: "no source", Ours: "8"},
		"POST", "/billableMetric", `{"name":"Name","aggregationType":"SUM","info":{"groupBys":["a","b","c","d","e","f","g","h","i"]}}`, 400, "8"},
	{harness.Difference{What: "`usageAllocations` of a group", Vendor: "carried to AWS Marketplace", Evidence: sdk, Ours: "400"},
		"POST", "/entitlement/ent-1/usageRecordGroup", `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"usageAllocations":{"gb":[{"quantity":1}]}}`, 400, "usageAllocations"},
	{harness.Difference{What: "partners ANTHROPIC, OAUTH2 and OPENAI in a configuration", Vendor: "known to the Python client of 2026 only", Evidence: sdk, Ours: "taken; older clients cannot read the answer then"},
		"PATCH", "/usageMeteringConfigInfo", `{"partnerUsageMeteringConfigs":[{"partner":"OPENAI"}]}`, 200, "OPENAI"},
	{harness.Difference{What: "partners CHARGEBEE and DOCUSIGN in a configuration", Vendor: "taken; Go's client cannot read the answer", Evidence: sdk, Ours: "400"},
		"PATCH", "/usageMeteringConfigInfo", `{"partnerUsageMeteringConfigs":[{"partner":"CHARGEBEE"}]}`, 400, "CHARGEBEE"},
	{harness.Difference{What: "unknown entitlement", Vendor: "not known; 404 is not declared", Evidence: sdk, Ours: "400 that names it"},
		"POST", "/entitlement/nothing/usageRecordGroup", `{"organizationID":"default","entitlementID":"nothing","records":{"gb":1}}`, 400, "nothing"},
	{harness.Difference{What: "usage outside the entitlement's dates, or while it is not active", Vendor: "not known", Evidence: "no source", Ours: "400"},
		"POST", "/entitlement/ent-1/usageRecordGroup", `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2019-12-31T00:00:00Z"}`, 400, "not active"},
	{harness.Difference{What: "usage far ahead", Vendor: "not known", Evidence: "no source", Ours: "400 beyond 5 minutes"},
		"POST", "/entitlement/ent-1/usageRecordGroup", `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":1},"timestamp":"2099-01-01T00:00:00Z"}`, 400, "ahead"},
	{harness.Difference{What: "quantities", Vendor: "floats", Evidence: sdk, Ours: "decimals: 26 digits before the point, rounded half to even to 12 after it"},
		"POST", "/entitlement/ent-1/usageRecordGroup", `{"organizationID":"default","entitlementID":"ent-1","records":{"gb":12345678901234567890123456.1234567890125}}`, 200, `"gb":12345678901234567890123456.123456789012}`},
	{harness.Difference{What: "reason of INVALID and REPORT_FAILED", Vendor: "in the console", Evidence: docs, Ours: "a field `message` of the group, which the clients ignore"},
		"GET", "/usageRecordGroup", "", 200, "!message"},
	{harness.Difference{What: "`productId` of listUsageRecordGroups", Vendor: "named in prose and not declared", Evidence: sdk, Ours: "chooses by product"},
		"GET", "/usageRecordGroup?productId=nothing", "", 200, `{"usageRecordGroups":[]}`},
	{harness.Difference{What: "more than 1,000 groups or 5 MiB", Vendor: "not known", Evidence: "no source", Ours: "413"},
		"POST", "/batchCreateUsageRecordGroups", "[" + strings.Repeat(`{"entitlementID":"ent-1","records":{"gb":1}},`, 1000) + "{}]", 413, "1000"},
	{harness.Difference{What: "REPORTED", Vendor: "once the hourly report is generated", Evidence: docs, Ours: "once the marketplace has accepted it, or nothing had to be sent"},
		"GET", "/usageRecordGroup?status=REPORTED", "", 200, `[]`},
}

// TestDifferences states both answers where they differ.
func TestDifferences(t *testing.T) {
	t.Parallel()
	var list []harness.Difference
	for _, d := range differences {
		list = append(list, d.Difference)
	}
	harness.Mirrored(t, "suger", list)
	if harness.Short(t) {
		return
	}
	s := startServer(t)
	for _, d := range differences {
		a := s.ask(t, d.method, "/org/default"+d.target, d.body)
		has, not := strings.CutPrefix(d.has, "!")
		if a.Status != d.status || strings.Contains(a.Body, has) == not {
			t.Errorf("%s: %d %.300s, want %d with %s", d.What, a.Status, a.Body, d.status, d.has)
		}
	}
}

// TestRules: the rules find what would break a client.
func TestRules(t *testing.T) {
	t.Parallel()
	for body, wrong := range map[string]string{
		`{"usageRecordGroups":[{"id":"a","serialID":1,"records":{"gb":0.5},"metaInfo":{"source":"API","timestamp":"2026-01-02T03:04:05.123456Z"}}],"nextOffset":2}`: "",
		`{"usageRecordGroups":[{"serialId":1}]}`:                                       "serialId",
		`{"usageRecordGroups":null}`:                                                   "null",
		`{"usageRecordGroups":[{"records":{"gb":"0.5"}}]}`:                             "no number",
		`{"usageRecordGroups":[{"records":{"gb":1e40}}]}`:                              "no number",
		`{"usageRecordGroups":[{"records":{"gb":null}}]}`:                              "null",
		`{"usageRecordGroups":[{"serialID":1.0}]}`:                                     "no integer",
		`{"usageRecordGroups":[{"serialID":2147483648}]}`:                              "no integer",
		`{"usageRecordGroups":[{"creationTime":"2026-01-02T03:04:05"}]}`:               "no time",
		`{"usageRecordGroups":[{"creationTime":"2026-01-02T03:04:05.1234567Z"}]}`:      "no time",
		`{"usageRecordGroups":[{"creationTime":""}]}`:                                  "no time",
		`{"usageRecordGroups":[{"partner":""}]}`:                                       "none of AWS",
		`{"usageRecordGroups":[{"metaInfo":{"SkipValidation":1}}]}`:                    "no boolean",
		`{"usageRecordGroups":[{"metaInfo":{"billableRecords":[{"properties":[]}]}}]}`: "no object",
		`{"usageRecordGroups":{}}`:                                                     "no list",
	} {
		found := breaches("GET", "/org/o/usageRecordGroup", 200, "application/json", []byte(body))
		if (wrong == "") != (len(found) == 0) || !strings.Contains(strings.Join(found, "\n"), wrong) {
			t.Errorf("%s: %q, want %q", body, found, wrong)
		}
	}
	for _, c := range []struct {
		method, path string
		status       int
		kind, body   string
	}{
		{"GET", "/org/o/usageRecordGroup", 200, "text/plain", "{}"}, {"GET", "/org/o/nothing", 200, "application/json", "{}"}, {"GET", "/org/o/usageRecordGroup", 200, "application/json", ""},
		{"POST", "/org/o/batchValidateUsageRecordGroups", 200, "application/json", `""`}, {"GET", "/org/o/usageRecordGroup", 400, "application/json", "text"},
		{"GET", "/org/o/usageRecordGroup", 400, "text/plain", `"text"`}, {"GET", "/org/o/usageRecordGroup", 400, "text/plain", ""},
		{"GET", "/org/o/billableMetric", 200, "application/json", `[{"name":"abc"}]`},
	} {
		if len(breaches(c.method, c.path, c.status, c.kind, []byte(c.body))) == 0 {
			t.Errorf("%+v is taken", c)
		}
	}
}
