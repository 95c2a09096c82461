package suger

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/marketplace"
	"odometer/internal/marketplace/sender"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/metering"
	stored "odometer/internal/store/records"
	"odometer/internal/surface/suger/wire"
	"odometer/internal/surface/surfacetest"
)

// billed has an entitlement at each marketplace.
const billed = `
entitlements:
- {id: r-aws, customer: acme, buyer: {id: buyer-1}, partner: AWS, product: cdn, starts: 2026-01-01, terms: [{id: t1, commit: "1", included_per: month}],
   dimensions: [{key: gb, name: GB, unit_price: "0.5", list_price: "0.75", included: "2"}, {key: seat, name: Seats, unit_price: "1"}], aws: {product_code: prod1, customer_identifier: aws-1}}
- {id: r-azure, customer: beta, partner: AZURE, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB}], azure: {resource_id: 7f2c6f7e-0000-4000-8000-000000000001, plan_id: gold}}
- {id: r-gcp, customer: beta, partner: GCP, product: cdn, starts: 2026-01-01, dimensions: [{key: gb, name: GB}],
   gcp: {service: cdn.example.com, usage_reporting_id: "project:gcp-1", metrics: {gb: {name: gb, type: INT64}}}}
`

// reporter bills at simulated marketplaces.
func (w *world) reporter() *marketplace.Reporter {
	w.Helper()
	clock := w.Clock.Now
	markets := httptest.NewServer(simulator.New(simulator.Options{Clock: clock, Seed: 1}))
	w.Cleanup(markets.Close)
	gcp, err := sender.NewGCP(markets.URL, nil, http.DefaultClient)
	w.Check(err)
	return marketplace.New(marketplace.Options{Usage: w.Service, Entries: w.Service, Records: w.Records, Accounts: w.Catalog, Store: stored.New(w.Catalog), Clock: clock, Owner: "test", Senders: map[string]sender.Sender{
		catalog.PartnerAWS:   sender.NewAWS(sender.AWSOptions{Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Endpoint: markets.URL}),
		catalog.PartnerAzure: sender.NewAzure(markets.URL, func(context.Context, bool) (string, error) { return "token", nil }, http.DefaultClient),
		catalog.PartnerGCP:   gcp,
	}})
}

func TestReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := orgPath + "/usageRecordReport"
	if got := w.want("GET", path, "", 200); got != `{"usageRecordReports":[]}` {
		t.Error(got)
	}
	w.Apply(billed, metering.ApplyOptions{})
	_, err := w.Records.AddCredit(t.Context(), w.Admin, "r-aws", meterDecimal("0.25"), noKey)
	w.Check(err)
	w.metric("calls", "SUM")
	w.want("PATCH", orgPath+"/usageMeteringConfigInfo", `{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true,"enableCommitWithAdditionalUsageMetering":true,
		"enableCommitWithAdditionalUsageAtListPrice":true,"enableBillableDimension":true,"dimensionMapping":{"calls":{"dimensionKey":"seat"}}}]}`, 200)
	post := func(entitlement, id, body string) {
		w.want("POST", orgPath+"/entitlement/"+entitlement+"/usageRecordGroup", fmt.Sprintf(`{"id":%q,"organizationID":"default","entitlementID":%q,%s}`, id, entitlement, body), 200)
	}
	post("r-aws", "a-1", `"records":{"gb":20.25}`)
	post("r-aws", "a-2", `"billableRecords":[{"key":"calls","quantity":3,"properties":{"user":"x"}}]`)
	post("r-azure", "z-1", `"records":{"gb":1.5}`)
	post("r-gcp", "p-1", `"records":{"gb":4}`)
	r := w.reporter()
	for range 4 {
		later := w.Clock.Now().Add(time.Hour)
		w.Clock.Set(later)
		w.Check(r.RunOnce(t.Context(), later))
	}
	aws := w.want("GET", path+"?partner=AWS", "", 200, `"entitlementID":"r-aws"`, `"entitlementTermID":"t1"`, `"buyerID":"buyer-1"`, `"productID":"cdn"`, `"organizationID":"default"`,
		`"status":"SUCCESS"`, `"startTime":"2026-11-22T12:00:00Z"`, `"endTime":"2026-11-22T13:00:00Z"`, `"usageRecordGroupIds":["a-1","a-2"]`,
		`"aggregatedBillableRecords":[{"key":"calls","name":"calls name","quantity":3,"amount":3,"groupBysExpression":"","billableMetricAggregationType":"SUM"}]`,
		`"creditAmount":0.25`, `"usedCreditAmount":0,`, `"usedCreditAmountIncrement":0.25`, `"commitAmount":1,`, `"usedCommitAmount":0,`, `"usedCommitAmountIncrement":1,`,
		`"dimensionUnitPrice":{"gb":0.5,"seat":1}`, `"dimensionUnitListPrice":{"gb":0.75}`,
		`"awsMeteringRequest":{"ProductCode":"prod1","UsageRecords":[{"CustomerIdentifier":"aws-1","Dimension":"gb","Quantity":`, `"Timestamp":"2026-11-22T12:`,
		`"awsMeteringResponse":{"results":[{"meteringRecordId":`, `"status":"Success","usageRecord":{"customerIdentifier":"aws-1","dimension":"gb","quantity":`)
	one := surfacetest.Read[struct{ UsageRecordReports []wire.Report }](t, aws).UsageRecordReports
	if len(one) != 1 {
		t.Fatalf("%d reports", len(one))
	}
	info := one[0].Info
	left := fmt.Sprint(info.BeforeAdjusted.Decimals(), info.Reported.Decimals(), info.Included.Decimals(), info.Credited.Decimals(), info.CarryIn.Decimals(), info.CarryOut.Decimals())
	t.Logf("before adjustment, reported, included, credited, carried in and out: %s", left)
	// 20.25 GB: 0.5 by credit, 2 by commit, 2 included, 15.75 left, at the list price 23.625; seats 3 billed at 1.
	if want := "map[gb:15.75] map[gb:23 seat:3] map[gb:2] map[gb:0.5] map[gb:0 seat:0] map[gb:0.625 seat:0]"; left != want {
		t.Errorf("%s, want %s", left, want)
	}
	w.want("GET", path+"?partner=AZURE", "", 200, `"reportedRecords":{"gb":1.5}`, `"azureMeteringRequest":{"request":[{"resourceId":"7f2c6f7e-0000-4000-8000-000000000001","planId":"gold","dimension":"gb","quantity":1.5,"effectiveStartTime":"`,
		`"azureMeteringResponse":{"count":1,"result":[{"usageEventId":"`, `"status":"Accepted"`)
	w.want("GET", path+"?partner=GCP", "", 200, `"reportedRecords":{"gb":4}`, `"gcpMeteringRequest":{"operationId":"`, `"metricValueSets":[{"metricName":"gb","metricValues":[{"int64Value":"4"}]}]`, `"gcpMeteringResponse":{`)
	w.want("GET", orgPath+"/usageRecordGroup?entitlementId=r-aws", "", 200, `"status":"REPORTED"`, `"reportedTime":"`, `"usageRecordReportID":"`+one[0].ID+`"`)
	w.want("DELETE", orgPath+"/usageRecordGroup/a-1", "", 400, "REPORTED")
	count := func(query string) int {
		return len(surfacetest.Read[struct{ UsageRecordReports []wire.Report }](t, w.want("GET", path+query, "", 200)).UsageRecordReports)
	}
	for query, want := range map[string]int{"": 3, "?buyerId=buyer-1": 1, "?buyerId=buyer-1&partner=GCP": 0, "?entitlementId=r-gcp": 1, "?endDate=2026-11-21": 0, "?limit=2": 2, "?limit=2&offset=2": 1, "?offset=3": 0} {
		if got := count(query); got != want {
			t.Errorf("%s: %d reports, want %d", query, got, want)
		}
	}
	w.want("GET", path+"?limit=2", "", 200, `"nextOffset":2`)
	if got := w.want("GET", path+"?limit=1&offset=2", "", 200); strings.Contains(got, "nextOffset") {
		t.Error(got)
	}
	for query, text := range map[string]string{"?partner=x": "partner", "?limit=-1": "limit", "?startDate=x": "startDate"} {
		w.want("GET", path+query, "", 400, text)
	}
	unbound := w.key
	w.key = w.NewKey(access.RoleReport, "beta")
	for query, want := range map[string]int{"": 2, "?limit=1": 1, "?offset=1": 1, "?entitlementId=r-aws": 0} {
		if got := count(query); got != want {
			t.Errorf("beta's, %s: %d reports, want %d", query, got, want)
		}
	}
	w.want("GET", path+"?limit=1", "", 200, `"nextOffset":1`)
	w.key = unbound
}
