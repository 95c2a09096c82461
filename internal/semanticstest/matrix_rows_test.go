package semanticstest

import (
	"strings"
)

// ask is one form of an operation: what follows the path, and the body.
type ask struct {
	query, body string
	id          string // for {id} in the path
	path        string // in place of the route's; "" = that
	header      []string
	tells       bool // its verdict tells that an identity was used, which identities do; no more than that
}

const octoberRange = "from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z"

// nounRows are the operations of a kind of noun, with its id and the body that makes one.
func nounRows(rows map[string][]ask, path, id, create string) {
	rows["GET "+path] = []ask{{}}
	rows["POST "+path] = []ask{{body: create}}
	rows["GET "+path+"/{id}"] = []ask{{id: id}}
	rows["PATCH "+path+"/{id}"] = []ask{{id: id, body: "{}"}}
	rows["DELETE "+path+"/{id}"] = []ask{{id: id}}
}

// matrixRows are the forms of every operation. A route without a row fails the test.
func matrixRows() map[string][]ask {
	rows := map[string][]ask{
		"GET /api/v1/events":          {{}, {query: "subject=$customer"}, {query: "source=src/$n"}, {query: "verdict=conflict"}, {query: "verdict=rejected"}, {query: "verdict=duplicate"}, {query: "type=hit$n"}},
		"GET /api/v1/events/lookup":   {{query: "source=src/$n&id=v-$n"}, {query: "source=suger/e-$n&id=g-$n/0"}},
		"GET /api/v1/meters":          {{}},
		"POST /api/v1/meters":         {{body: `{"key":"new-$n","event_type":"x","aggregation":"COUNT"}`}},
		"GET /api/v1/meters/{key}":    {{}},
		"PATCH /api/v1/meters/{key}":  {{body: `{"name":"x"}`}},
		"DELETE /api/v1/meters/{key}": {{}},
		"GET /api/v1/meters/{key}/usage": {{query: octoberRange}, {query: octoberRange + "&group_by=customer"}, {query: octoberRange + "&group_by=customer&sort=-value"}, {query: octoberRange + "&filter[customer]=$customer"},
			{query: octoberRange + "&as_of=2026-10-30T00:00:00Z"}, {query: octoberRange, header: []string{"Accept", "text/csv"}}},
		"GET /api/v1/keys":                        {{}},
		"POST /api/v1/keys":                       {{body: `{"role":"read","customer":"$customer"}`}, {body: `{"role":"ingest","customer":"xyz","sources":["src/$n"]}`}},
		"DELETE /api/v1/keys/{id}":                {{id: "$key"}},
		"GET /api/v1/organizations":               {{}},
		"POST /api/v1/organizations":              {{body: `{"id":"{organization}"}`}},
		"GET /api/v1/organizations/{id}":          {{id: "{organization}"}},
		"PATCH /api/v1/organizations/{id}":        {{id: "{organization}", body: `{"name":"x"}`}},
		"GET /api/v1/organizations/{id}/listings": {{id: "{organization}"}},
		"PUT /api/v1/organizations/{id}/listings": {{id: "{organization}", body: `{"listings":[]}`}},
		"GET /api/v1/audit":                       {{}},
		"GET /api/v1/catalog":                     {{}},
		"POST /api/v1/catalog":                    {{query: "dry_run=true", body: `{"customers":[{"id":"$customer","name":"x"}]}`}},
		"GET /api/v1/units":                       {{}},
		"PUT /api/v1/units":                       {{body: `{"cloud":{"meter":"m-$n"}}`}},
		"GET /api/v1/usage":                       {{query: octoberRange + "&customer=$customer"}, {query: octoberRange + "&product=p-$n"}, {query: octoberRange + "&usage_type=u-$n"}, {query: octoberRange + "&contract=K-$n"}, {query: octoberRange + "&service=S$n&product=p-$n"}},
		"GET /api/v1/unattributed":                {{query: octoberRange}, {query: octoberRange + "&limit=1"}},
		"GET /api/v1/periods":                     {{query: "customer=$customer"}},
		"POST /api/v1/periods":                    {{body: `{"customer":"$customer","month":"2026-08"}`}},
		"GET /api/v1/periods/{customer}/{month}":  {{}},
		"GET /api/v1/closings":                    {{}},
		"GET /api/v1/closings/{id}":               {{id: "$n"}},
		"GET /api/v1/reports/stuck":               {{}},
		"POST /api/v1/reports/reconcile":          {{}},
		"POST /api/v1/reports/resolve":            {{body: `{"report":"r-$n","dimension":"gb","as":"moved"}`}},
		"POST /api/v1/reports/run":                {{body: `{"entitlement":"e-$n","hour":"2026-10-20T10:00:00Z","dry_run":true}`}},
		"GET /api/v1/entitlements/{id}/credits":   {{id: "e-$n"}},
		"POST /api/v1/entitlements/{id}/credits":  {{id: "e-$n", body: `{"amount":"1"}`}},

		"POST /org/{organization}/entitlement/{entitlement}/usageRecordGroup": {{body: sugerGroup("")}, {body: sugerGroup("new-$n")}},
		"POST /org/{organization}/batchCreateUsageRecordGroups":               {{body: "[" + sugerGroup("") + "]"}, {body: "[" + sugerGroup("") + "]", header: []string{"Idempotency-Key", "once-$n"}}},
		"POST /org/{organization}/batchValidateUsageRecordGroups":             {{body: "[" + sugerGroup("") + "]"}},
		"DELETE /org/{organization}/usageRecordGroup/{group}":                 {{}},
		"POST /org/{organization}/usageRecordGroup/{group}/retry":             {{}},
		"GET /org/{organization}/usageRecordGroup":                            {{}, {query: "entitlementId=e-$n"}, {query: "filter=buyerID"}},
		"GET /org/{organization}/usageRecordReport":                           {{}, {query: "entitlementId=e-$n"}},
		"GET /org/{organization}/usageRecordGroup/aggregate":                  {{}, {query: "partner=AWS&granularity=DAY"}},
		"GET /org/{organization}/usageRecordReport/aggregate":                 {{}, {query: "partner=AWS&granularity=MONTH"}},
		"GET /org/{organization}/billableMetric":                              {{}},
		"POST /org/{organization}/billableMetric":                             {{body: `{"aggregationType":"COUNT","name":"new metric"}`}},
		"GET /org/{organization}/billableMetric/{metric}":                     {{}},
		"PATCH /org/{organization}/billableMetric/{metric}":                   {{body: `{"name":"another name"}`}},
		"GET /org/{organization}/usageMeteringConfigInfo":                     {{}},
		"PATCH /org/{organization}/usageMeteringConfigInfo":                   {{body: `{}`}},
	}
	of := "/api/v1/customers/{customer}/"
	nounRows(rows, "/api/v1/products", "p-$n", `{"id":"new-$n"}`)
	nounRows(rows, "/api/v1/customers", "$customer", `{"id":"new-$n"}`)
	nounRows(rows, of+"services", "S$n", `{"id":"new-$n"}`)
	nounRows(rows, of+"contracts", "K-$n", `{"id":"new-$n"}`)
	nounRows(rows, of+"cp_codes", "7$n", `{"id":8$n,"contract":"K-$n"}`)
	nounRows(rows, of+"reporting_groups", "$n$n", `{"id":8$n}`)
	nounRows(rows, of+"account_groups", "$n$n$n", `{"aid":"8$n"}`)
	nounRows(rows, of+"agents", "a$n", `{"id":"new-$n","kind":"enterprise","account_group":"$n$n$n"}`)
	nounRows(rows, of+"tests", "t$n", `{"id":"new-$n","type":"page-load","account_group":"$n$n$n"}`)
	nounRows(rows, "/api/v1/entitlements", "e-$n", `{"id":"new-$n","customer":"$customer","partner":"AWS","product":"p-$n","starts":"2026-01-01"}`)
	rows["POST /api/v1/events"] = eventAsks()
	vendorRows(rows)
	return rows
}

func sugerGroup(id string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `{` + id + `"organizationID":"{organization}","entitlementID":"e-$n","records":{"gb":1}}`
}

// eventAsks send, in every mode and form, events of the object's customer, and
// events of the asker's with the object's identities.
func eventAsks() []ask {
	event := func(customer, id string) string {
		return `{"specversion":"1.0","id":"` + id + `","source":"src/$n","type":"hit","subject":"` + customer + `","time":"2026-10-20T10:00:00Z","data":{"bytes":12345}}`
	}
	var asks []ask
	for _, mode := range []string{"", "atomic=true", "strict=true", "atomic=true&strict=true"} {
		for _, customer := range []string{"$customer", "$asker"} {
			one, two := event(customer, "v-$n"), event(customer, "q-$n")
			tells := customer == "$asker"
			for _, form := range [][2]string{{"application/json", one}, {"application/cloudevents+json", one},
				{"application/cloudevents-batch+json", "[" + one + "," + two + "]"}, {"application/x-ndjson", one + "\n" + two}} {
				asks = append(asks, ask{query: mode, body: form[1], tells: tells, header: []string{"Content-Type", form[0]}})
			}
			asks = append(asks, ask{query: mode, body: `{"bytes":12345}`, tells: tells, header: []string{"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "v-$n",
				"Ce-Source", "src/$n", "Ce-Type", "hit", "Ce-Subject", customer, "Ce-Time", "2026-10-20T10:00:00Z"}})
			asks = append(asks, ask{query: mode, body: one, tells: tells, header: []string{"Content-Type", "application/json", "Prefer", "return=minimal"}})
		}
	}
	return asks
}

// matrixCatalog is an organization's catalog of owners, of whom the first is the asker's own.
func matrixCatalog(owners ...object) string {
	var meters, products, customers, entitlements strings.Builder
	for _, o := range owners {
		name := secret
		if o == own {
			name = "Own"
		}
		fill := func(text string) string { return strings.ReplaceAll(o.fill(text, ""), "$name", name) }
		meters.WriteString(fill("  - {key: m-$n, name: $name, event_type: hit, aggregation: COUNT, group_by: [customer, contract, product, service, cp_code]}\n"))
		products.WriteString(fill("  - {id: p-$n, name: $name, usage_types: [{name: u-$n, meter: m-$n, unit: unit}]}\n"))
		customers.WriteString(fill(`  - {id: $customer, name: $name, account_id: A-$n, services: [{id: S$n, name: $name}], contracts: [{id: K-$n, terms: [{products: [p-$n], regions: GLOBAL}]}],
     cp_codes: [{id: 7$n, name: $name, contract: K-$n}], reporting_groups: [{id: $n$n, name: $name, cp_codes: [7$n]}], account_groups: [{aid: "$n$n$n", name: $name}],
     agents: [{id: a$n, name: $name, kind: enterprise, account_group: "$n$n$n"}], tests: [{id: t$n, name: $name, type: page-load, account_group: "$n$n$n", interval_s: 60}]}` + "\n"))
		entitlements.WriteString(fill(`  - {id: e-$n, customer: $customer, buyer: {id: $name-$n}, partner: AWS, product: p-$n, starts: 2026-01-01, dimensions: [{key: gb, name: $name}, {key: counted, meter: b-$n}],
     aws: {product_code: code$n, customer_identifier: c$n}}` + "\n"))
	}
	meters.WriteString("  - {key: units, event_type: units, aggregation: SUM, value: units, group_by: [customer, account_group, test, agent]}\n")
	return "units: {cloud: {meter: units}, enterprise: {meter: units}}\nmeters:\n" + meters.String() + "products:\n" + products.String() + "customers:\n" + customers.String() + "entitlements:\n" + entitlements.String()
}
