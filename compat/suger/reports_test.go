package suger

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"odometer/compat/harness"
	"odometer/internal/marketplace/simulator"
)

// TestReports lists what was billed at simulated marketplaces.
func TestReports(t *testing.T) {
	t.Parallel()
	client, ok := pythonClient(t)
	if !ok {
		return
	}
	markets := httptest.NewServer(simulator.New(simulator.Options{Clock: time.Now}))
	t.Cleanup(markets.Close)
	var flags []string
	for _, cloud := range []string{"aws", "azure", "gcp"} {
		flags = append(flags, "--marketplace."+cloud+".endpoint", markets.URL)
	}
	s := &script{server: startServer(t, flags...), t: t}
	s.metric(t, "/org/default")
	must := func(method, target, body string, header ...string) {
		if a := s.ask(t, method, target, body, header...); a.Status != 200 {
			t.Fatalf("%s: %d %s", target, a.Status, a.Body)
		}
	}
	must("PATCH", "/org/default/usageMeteringConfigInfo", `{"partnerUsageMeteringConfigs":[{"partner":"AWS","enableDimensionMapping":true,"enableCommitWithAdditionalUsageMetering":true,
		"enableCommitWithAdditionalUsageAtListPrice":true,"enableBillableDimension":true,"dimensionMapping":{"calls":{"dimensionKey":"seat"}}}]}`)
	hour := time.Now().UTC().Add(-2 * time.Hour).Truncate(time.Hour)
	at := hour.Add(time.Minute).Format(time.RFC3339)
	for entitlement, usage := range map[string]string{"ent-1": `"records":{"gb":20.25}`, "ent-2": `"records":{"gb":12.25}`, "ent-3": `"records":{"gb":0.5}`} {
		must("POST", "/org/default/entitlement/"+entitlement+"/usageRecordGroup", fmt.Sprintf(`{"organizationID":"default","entitlementID":%q,"timestamp":%q,%s}`, entitlement, at, usage))
	}
	must("POST", "/org/default/entitlement/ent-1/usageRecordGroup", fmt.Sprintf(`{"organizationID":"default","entitlementID":"ent-1","timestamp":%q,"billableRecords":[{"key":"calls","quantity":2.5}]}`, at))
	for _, entitlement := range []string{"ent-1", "ent-2", "ent-3"} {
		a := s.Do(t, "POST", "/api/v1/reports/run", fmt.Sprintf(`{"entitlement":%q,"hour":%q}`, entitlement, hour.Format(time.RFC3339)), "Authorization", "Bearer "+s.Admin)
		if a.Status != 200 || !strings.Contains(a.Body, "SUCCESS") {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	s.billed()
	for i, r := range harness.Calls(t, client, map[string]any{"host": s.front, "organization": "default"}, s.calls) {
		s.checks[i](r)
	}
}

// billed is what the client makes of the reports.
func (s *script) billed() {
	type page struct {
		UsageRecordReports []struct {
			BuyerID, ProductID, Partner, EntitlementTermID string
			Info                                           fields
		}
		NextOffset *int
	}
	list := func(query fields, check func(page)) {
		then(s, call{Operation: "list_usage_record_reports", Query: query}, check)
	}
	list(fields{"partner": "AWS"}, func(p page) {
		if len(p.UsageRecordReports) != 1 {
			s.t.Fatalf("%+v", p)
		}
		r := p.UsageRecordReports[0]
		// 20.25 GB: 4 by commit, 1 included; the rest costs twice as much at the list price.
		want := fields{"status": "SUCCESS", "includedRecords": fields{"gb": 1}, "recordsToReportBeforeAdjustmentAtListPrice": fields{"gb": 15.25},
			"reportedRecords": fields{"gb": 30, "seat": 2}, "newDecimalParts": fields{"gb": 0.5, "seat": 0.5}, "usedCommitAmountIncrement": 1}
		for name, value := range want {
			if got := r.Info[name]; fmt.Sprint(got) != fmt.Sprint(value) {
				s.t.Errorf("%s: %v, want %v", name, got, value)
			}
		}
		if r.BuyerID != "buyer-1" || r.ProductID != "cdn" || r.EntitlementTermID != "t1" || r.Info["awsMeteringRequest"] == nil || r.Info["awsMeteringResponse"] == nil ||
			len(r.Info["usageRecordGroupIds"].([]any)) != 2 || len(r.Info["aggregatedBillableRecords"].([]any)) != 1 {
			s.t.Errorf("%+v", r)
		}
	})
	for partner, request := range map[string]string{"AZURE": "azureMeteringRequest", "GCP": "gcpMeteringRequest"} {
		list(fields{"partner": partner}, func(p page) {
			if len(p.UsageRecordReports) != 1 || p.UsageRecordReports[0].Info[request] == nil || p.UsageRecordReports[0].Partner != partner {
				s.t.Errorf("%s: %+v", partner, p)
			}
		})
	}
	list(fields{"limit": 2}, func(p page) {
		if len(p.UsageRecordReports) != 2 || p.NextOffset == nil || *p.NextOffset != 2 {
			s.t.Errorf("%+v", p)
		}
	})
	list(fields{"buyer_id": "nobody"}, func(p page) {
		if p.UsageRecordReports == nil || len(p.UsageRecordReports) > 0 {
			s.t.Errorf("%+v", p)
		}
	})
}
