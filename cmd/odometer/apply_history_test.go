package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestApplyHoldsFromEffective: a removal that holds from a day leaves what the
// Fastly surface shows of the time before it, and takes what comes after.
func TestApplyHoldsFromEffective(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	admin := s.as(s.adminKey)
	first := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -10)
	second := first.AddDate(0, 0, 1)
	const document = `
meters: [{key: hits, event_type: edge, aggregation: COUNT, group_by: [customer, product, service]}]
products: [{id: cdn, usage_types: [{name: Hits, meter: hits, unit: unit}]}]
customers: [{id: acme, services: [{id: S2, name: blog}%s]}]
`
	must(t, admin, "apply", "-f", textFile(t, fmt.Sprintf(document, ", {id: S1, name: shop}")))
	for i, at := range []time.Time{first, second} {
		for _, service := range []string{"S1", "S2"} {
			s.post("/api/v1/events", s.adminKey, "application/json", fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":%q,"type":"edge","subject":"acme","time":%q,"data":{"service":%q}}`,
				i, service, at.Add(time.Hour).Format(time.RFC3339), service))
		}
	}
	if got := s.fastly(first, second); got != "S1 shop 2, S2 blog 2" {
		t.Errorf("before: %s", got)
	}
	if out := must(t, admin, "apply", "-f", textFile(t, fmt.Sprintf(document, "")), "--prune", "--effective", second.Format(time.DateOnly)); !strings.HasPrefix(out, "- service acme/S1\n") {
		t.Errorf("pruned:\n%s", out)
	}
	if got := s.fastly(first, second); got != "S1 shop 1, S2 blog 2" {
		t.Errorf("after: %s", got)
	}
	if got := s.fastly(second, second); got != "S2 blog 1" {
		t.Errorf("of the day of the change: %s", got)
	}
	s.stop()
}

// fastly asks the Fastly surface for the hits of acme's services in days.
func (s *testServer) fastly(from, to time.Time) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/billing/v2/account_customers/acme/service-usage-metrics?product_id=cdn&usage_type_name=Hits"+
		"&time_granularity=day&start_date="+from.Format(time.DateOnly)+"&end_date="+to.Format(time.DateOnly), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Fastly-Key", s.adminKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Details []struct {
				ServiceID   string      `json:"service_id"`
				ServiceName string      `json:"service_name"`
				UsageUnits  json.Number `json:"usage_units"`
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %v", response.Status, err)
	}
	var out []string
	for _, d := range answer.Data.Details {
		out = append(out, d.ServiceID+" "+d.ServiceName+" "+d.UsageUnits.String())
	}
	return strings.Join(out, ", ")
}
