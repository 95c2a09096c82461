package metering

import (
	"context"
	"fmt"
	"odometer/internal/access"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/meter"
)

// edgeMeters are those of a delivery network, as products use them.
var edgeMeters = []meter.Meter{
	{Key: "requests", EventType: "edge", Aggregation: meter.AggCount, GroupBy: []string{"customer", "product", "contract", "region"}},
	{Key: "bytes", EventType: "edge", Aggregation: meter.AggSum, Value: "bytes", GroupBy: []string{"customer", "product", "contract", "region"}},
	{Key: "p95", EventType: "edge", Aggregation: meter.AggPercentile, Rate: true, Value: "bytes", GroupBy: []string{"customer", "product", "contract", "region"}},
	{Key: "peak", EventType: "edge", Aggregation: meter.AggPeak, Rate: true, Value: "bytes", GroupBy: []string{"customer"}},
}

var (
	hits   = catalog.UsageType{Name: "Total Hits", Meter: "requests"}
	volume = catalog.UsageType{Name: "Total MB", Meter: "bytes", Scale: "0.000000001"}
	p95    = catalog.UsageType{Name: "95/5 Mbps", Meter: "p95", Scale: "0.000008"}
	peak   = catalog.UsageType{Name: "Peak Mbps", Meter: "peak", Scale: "0.000008"}
)

func edgeService(t testing.TB) *Service {
	t.Helper()
	service := openStores(t).service(t, Limits{})
	for _, m := range edgeMeters {
		if _, _, err := service.CreateMeter(context.Background(), admin, m); err != nil {
			t.Fatal(err)
		}
	}
	return service
}

// edge is one event; product, contract and region may be "" for none.
type edge struct {
	customer, product, contract, region string
	at                                  time.Time
	bytes                               int64
}

func ingestEdges(t testing.TB, service *Service, events []edge) {
	t.Helper()
	for part := range slices.Chunk(events, 10_000) {
		var lines strings.Builder
		for i, e := range part {
			data := fmt.Sprintf(`"bytes":%d`, e.bytes)
			for name, text := range map[string]string{"product": e.product, "contract": e.contract, "region": e.region} {
				if text != "" {
					data += fmt.Sprintf(`,%q:%q`, name, text)
				}
			}
			fmt.Fprintf(&lines, `{"specversion":"1.0","id":"%s-%d","source":"s","type":"edge","subject":%q,"time":%q,"data":{%s}}`+"\n",
				e.at.Format(time.RFC3339Nano), i, e.customer, e.at.Format(time.RFC3339Nano), data)
		}
		r, err := service.Ingest(context.Background(), admin, []byte(lines.String()), cloudevents.NDJSON, false)
		if err != nil || r.Accepted != len(part) {
			t.Fatalf("%+v %v", r, err)
		}
	}
}

// ask renders the rows of a query of November 2026.
func ask(t testing.TB, service *Service, p access.Principal, q ProductQuery) string {
	t.Helper()
	if q.From.IsZero() {
		q.From, q.To = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	}
	rows, err := service.ProductUsage(context.Background(), p, q)
	if err != nil {
		return err.Error()
	}
	var texts []string
	for _, r := range rows {
		texts = append(texts, fmt.Sprint(strings.Join(append([]string{r.Start.Format("01-02")}, r.Group...), " "), "=", r.Value))
	}
	return strings.Join(texts, ", ")
}

func TestProductUsage(t *testing.T) {
	t.Parallel()
	service := edgeService(t)
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	ingestEdges(t, service, []edge{
		{"acme", "cdn", "K-1", "eu", at, 1},
		{"acme", "cdn", "K-1", "na", at.Add(24 * time.Hour), 10},
		{"acme", "", "K-1", "eu", at, 100},       // names no product
		{"acme", "cdn", "", "eu", at, 1_000},     // names no contract
		{"acme", "cdn", "K-2", "eu", at, 10_000}, // another contract
		{"acme", "other", "K-1", "eu", at, 100_000},
		{"zeta", "cdn", "K-1", "eu", at, 1_000_000}, // another customer
		{"acme", "cdn", "K-1", "eu", at.Add(-30 * 24 * time.Hour), 10_000_000},
	})
	bytes := catalog.UsageType{Name: "Bytes", Meter: "bytes"}
	eu := catalog.UsageType{Name: "EU", Meter: "bytes", Where: map[string]string{"region": "eu"}}
	other := catalog.UsageType{Name: "Other", Meter: "bytes", Where: map[string]string{"product": "other"}}
	acme := []string{"acme"}
	bound := access.Principal{Organization: "default", Role: access.RoleRead, Customer: "acme"}
	for name, c := range map[string]struct {
		p    access.Principal
		q    ProductQuery
		want string
	}{
		"any contract":           {admin, ProductQuery{UsageType: bytes, Customers: acme}, "11-01=11111"},
		"one contract":           {admin, ProductQuery{UsageType: bytes, Customers: acme, Contracts: []string{"K-1"}}, "11-01=111"},
		"one contract and none":  {admin, ProductQuery{UsageType: bytes, Customers: acme, Contracts: []string{"K-1", ""}}, "11-01=1111"},
		"two customers":          {admin, ProductQuery{UsageType: bytes, Customers: []string{"acme", "zeta"}, Contracts: []string{"K-1"}}, "11-01=1000111"},
		"no customer":            {admin, ProductQuery{UsageType: bytes}, ""},
		"no contract at all":     {admin, ProductQuery{UsageType: bytes, Customers: acme, Contracts: []string{}}, ""},
		"where":                  {admin, ProductQuery{UsageType: eu, Customers: acme}, "11-01=11101"},
		"where with the product": {admin, ProductQuery{UsageType: other, Customers: acme}, "11-01=100000"},
		"a filter more": {admin, ProductQuery{UsageType: eu, Customers: acme, Filters: []meter.AttrFilter{{Attribute: "bytes", Values: []string{"1", "10", "100"}}}},
			"11-01=101"},
		"by region":            {admin, ProductQuery{UsageType: bytes, Customers: acme, By: []string{"region"}}, "11-01 eu=11101, 11-01 na=10"},
		"by day":               {admin, ProductQuery{UsageType: bytes, Customers: acme, Window: "day"}, "11-20=11101, 11-21=10"},
		"scaled":               {admin, ProductQuery{UsageType: volume, Customers: acme}, "11-01=0.000011111"},
		"hits":                 {admin, ProductQuery{UsageType: hits, Customers: acme, By: []string{"region"}}, "11-01 eu=4, 11-01 na=1"},
		"another product":      {admin, ProductQuery{Product: "dns", UsageType: bytes, Customers: acme}, "11-01=100"},
		"bound":                {bound, ProductQuery{UsageType: bytes, Customers: []string{"acme", "zeta"}, Contracts: []string{"K-1"}}, "11-01=111"},
		"bound to another":     {bound, ProductQuery{UsageType: bytes, Customers: []string{"zeta"}}, ""},
		"another organization": {access.Principal{Organization: "stranger", Role: access.RoleAdmin}, ProductQuery{UsageType: bytes, Customers: acme}, "product cdn counts with a meter that is gone"},
		"a meter that is gone": {admin, ProductQuery{UsageType: catalog.UsageType{Meter: "gone"}, Customers: acme}, "product cdn counts with a meter that is gone"},
		"nobody":               {access.Principal{}, ProductQuery{UsageType: bytes, Customers: acme}, "no key given"},
		"a key that may not read": {access.Principal{Organization: "default", Role: access.RoleIngest}, ProductQuery{UsageType: bytes, Customers: acme},
			"this key may not do that: its role is ingest"},
		"by an attribute the meter does not keep": {admin, ProductQuery{UsageType: peak, Customers: acme, Contracts: []string{"K-1"}}, "11-01=0.000002693333"},
	} {
		if c.q.Product == "" {
			c.q.Product = "cdn"
		}
		if got := ask(t, service, c.p, c.q); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestProductPercentiles asks for months of 5-minute traffic whose order
// statistics are known: a permutation of 1 to N.
func TestProductPercentiles(t *testing.T) {
	t.Parallel()
	service := edgeService(t)
	random := fixedtest.Rand(t)
	var events []edge
	months := []struct {
		from         time.Time
		samples      int
		ninetyFifth  int64 // ceil(95 * samples / 100), by hand
		expectLength int
	}{
		{time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), 8640, 8208, 30},
		{time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), 8928, 8482, 31},
		{time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), 6192, 5883, 30}, // until testStart, the 22nd at noon: 21.5 days
	}
	for _, m := range months {
		for i, v := range random.Perm(m.samples) {
			at := m.from.Add(time.Duration(i) * 5 * time.Minute)
			part := random.Int64N(int64(v) + 2)
			events = append(events, edge{"acme", "cdn", "K-1", "eu", at, part}, edge{"acme", "cdn", "K-1", "na", at.Add(time.Minute), int64(v) + 1 - part})
		}
	}
	ingestEdges(t, service, events)
	for _, m := range months {
		q := ProductQuery{Product: "cdn", Customers: []string{"acme"}, Contracts: []string{"K-1"}, From: m.from, To: m.from.AddDate(0, 0, m.expectLength)}
		for _, c := range []struct {
			u       catalog.UsageType
			element int64
		}{{p95, m.ninetyFifth}, {peak, int64(m.samples)}} {
			q.UsageType = c.u
			want := meter.NewDecimal(c.element * 8).Quo(meter.NewDecimal(300_000_000)) // Mbps, rounded once
			if got := ask(t, service, admin, q); got != m.from.Format("01-02=")+want.String() {
				t.Errorf("%s of %s: %s, want %s", c.u.Name, m.from.Format("2006-01"), got, want)
			}
		}
	}
	q := ProductQuery{Product: "cdn", UsageType: hits, Customers: []string{"acme"}, Window: "5m", From: months[0].from, To: testStart}
	rows, err := service.ProductUsage(context.Background(), admin, q) // more than one page of the ledger's
	if err != nil || len(rows) != len(events)/2 {
		t.Fatalf("%d rows, want %d: %v", len(rows), len(events)/2, err)
	}
	for _, r := range rows {
		if r.Value.Cmp(meter.NewDecimal(2)) != 0 {
			t.Fatalf("%s: %s", r.Start, r.Value)
		}
	}
}

// TestScaledOnce: a rate is multiplied by its scale before it is divided.
func TestScaledOnce(t *testing.T) {
	t.Parallel()
	m := edgeMeters[2].Normalize()
	for _, c := range []struct{ element, scale, want string }{
		{"1", "0.000008", "0.000000026667"},
		{"100", "3", "1"},
		{"0.000000001", "1000000000", "0.003333333333"},
		{"12345678901234567890", "0.000008", "329218104032.9218104"},
	} {
		element, err := meter.ParseDecimal(c.element)
		if err != nil {
			t.Fatal(err)
		}
		scale, err := meter.ParseDecimal(c.scale)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Result(element, scale); got.String() != c.want {
			t.Errorf("%s * %s: %s, want %s", c.element, c.scale, got, c.want)
		}
	}
}
