package loadgen

import (
	"fmt"
	"strings"
	"time"
)

// Estate is a seller with a catalog of size and the usage of a month: what
// the vendors' APIs are measured over. Every event is a pure function of the
// estate and its number.
type Estate struct {
	Seed      uint64
	Month     time.Time // its first instant
	Now       time.Time // units are used until then, edges until the month ends
	Customers int
	Services  int // of all customers, each with as many
	Tests     int // of each customer
}

// The estate's names.
const (
	estateProduct = "cdn"
	estateLine    = "Requests"  // a usage type of the product
	estateBilled  = "95/5 Mbps" // and one with a percentile
)

// estateCodes is how many CP codes each customer has.
const estateCodes = 5

// unitsShare is 1 of so many events that are units of a test.
const unitsShare = 10

// NewEstate is the estate of the figures in docs/performance.md: 200 customers
// with 50 services and 100 tests each, over the last month of 31 days.
func NewEstate(seed uint64, now time.Time) Estate {
	now = now.UTC()
	month := time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	for month.AddDate(0, 0, 30).Month() != month.Month() {
		month = month.AddDate(0, -1, 0)
	}
	return Estate{Seed: seed, Month: month, Now: now, Customers: 200, Services: 10_000, Tests: 100}
}

// Customer is the id of the i-th customer.
func (e Estate) Customer(i int) string { return fmt.Sprintf("customer-%04d", i) }

// Contract is the id of a customer's contract.
func (e Estate) Contract(i int) string { return fmt.Sprintf("K-%04d", i) }

// AID is the id of one of a customer's two account groups.
func (e Estate) AID(i, group int) string { return fmt.Sprintf("%d", 100_000+2*i+group) }

func (e Estate) perCustomer() int { return e.Services / e.Customers }

// Document is the catalog as `odometer apply` takes it.
func (e Estate) Document() []byte {
	var b strings.Builder
	b.WriteString(estateHead)
	for i := range e.Customers {
		fmt.Fprintf(&b, "  - id: %s\n    name: Customer %d\n    account_id: A-%04d\n    services:\n", e.Customer(i), i, i)
		for s := range e.perCustomer() {
			fmt.Fprintf(&b, "      - {id: %s, name: site %d}\n", e.service(i, s), s)
		}
		fmt.Fprintf(&b, "    contracts:\n      - id: %s\n        starts: 2020-01-01\n        terms:\n          - {from: 2020-01-01, products: [cdn], regions: GLOBAL}\n", e.Contract(i))
		if i%4 == 0 { // every fourth month has two sub-periods
			fmt.Fprintf(&b, "          - {from: %s, products: [cdn], regions: {attribute: region}}\n", e.Month.AddDate(0, 0, 15).Format(time.DateOnly))
		}
		b.WriteString("    cp_codes:\n")
		for c := range estateCodes {
			fmt.Fprintf(&b, "      - {id: %d, name: code %d, contract: %s, product: cdn}\n", e.code(i, c), c, e.Contract(i))
		}
		fmt.Fprintf(&b, "    reporting_groups: [{id: %d, name: all, cp_codes: [%d, %d]}]\n", i+1, e.code(i, 0), e.code(i, 1))
		fmt.Fprintf(&b, "    account_groups: [{aid: \"%s\", name: Web}, {aid: \"%s\", name: Network}]\n    agents:\n", e.AID(i, 0), e.AID(i, 1))
		for a := range 4 {
			fmt.Fprintf(&b, "      - {id: \"%d\", name: agent %d, kind: enterprise, account_group: \"%s\"}\n", i*10+a, a, e.AID(i, a%2))
		}
		b.WriteString("    tests:\n")
		for t := range e.Tests {
			fmt.Fprintf(&b, "      - {id: \"%s\", name: test %d, type: Web - HTTP Server, account_group: \"%s\", interval_s: 300, timeout_s: 5, agents: [\"%d\"], cloud_agents: 2}\n",
				e.test(i, t), t, e.AID(i, t%2), i*10+t%4)
		}
		b.WriteString("    quota: {cloud_units: 10000000, enterprise_agents: 5}\n")
	}
	return []byte(b.String())
}

const estateHead = `meters:
  - {key: estate_requests, event_type: estate.request, aggregation: COUNT, unit: request, group_by: [customer, product, service, region, contract, cp_code]}
  - {key: estate_bytes, event_type: estate.request, aggregation: SUM, value: bytes, unit: byte, group_by: [customer, product, service, region, contract, cp_code]}
  - {key: estate_p95, event_type: estate.request, aggregation: PERCENTILE, percentile: 95, sample: 5m, rate: true, value: bytes, group_by: [customer, product, contract, region]}
  - {key: estate_peak, event_type: estate.request, aggregation: PEAK, sample: 5m, rate: true, value: bytes, group_by: [customer, product, contract, region]}
  - {key: estate_cloud, event_type: estate.cloud, aggregation: SUM, value: units, unit: unit, group_by: [customer, account_group, test, agent]}
  - {key: estate_enterprise, event_type: estate.enterprise, aggregation: SUM, value: units, unit: unit, group_by: [customer, account_group, test, agent]}
products:
  - id: cdn
    name: Delivery
    usage_types:
      - {name: Requests, meter: estate_requests, unit: request, billable: true, surfaces: [fastly]}
      - {name: North America Requests, meter: estate_requests, where: {region: us-east}, unit: request, billable: true, surfaces: [fastly]}
      - {name: Total GB, meter: estate_bytes, unit: GB, scale: "0.000000001", billable: true, surfaces: [fastly]}
      - {name: Total MB, meter: estate_bytes, unit: GB, scale: "0.000000001", billable: true, surfaces: [akamai]}
      - {name: 95/5 Mbps, meter: estate_p95, unit: 95/5 Mbps, scale: "0.000008", billable: true, surfaces: [akamai]}
      - {name: Total Hits, meter: estate_requests, unit: Total Hits, surfaces: [akamai]}
      - {name: Peak Mbps, meter: estate_peak, unit: Peak Mbps, scale: "0.000008", surfaces: [akamai]}
units:
  cloud: {meter: estate_cloud}
  enterprise: {meter: estate_enterprise}
  rates:
    Web - HTTP Server: {cloud: "1", enterprise: "0.5", per: timeout_s}
customers:
`

func (e Estate) service(customer, i int) string { return fmt.Sprintf("svc-%04d-%03d", customer, i) }
func (e Estate) code(customer, i int) int       { return 1_000_000 + customer*estateCodes + i }
func (e Estate) test(customer, i int) string    { return fmt.Sprintf("%d", 200_000+customer*e.Tests+i) }

// AppendBatch appends a JSON array of the events with the numbers from first on.
func (e Estate) AppendBatch(to []byte, first uint64, events int) []byte {
	to = append(to, '[')
	for i := range events {
		if i > 0 {
			to = append(to, ',')
		}
		to = e.appendEvent(to, first+uint64(i))
	}
	return append(to, ']')
}

func (e Estate) appendEvent(to []byte, number uint64) []byte {
	random := mix(e.Seed ^ mix(number))
	draw := func(n int) int {
		random = mix(random)
		return int(random >> 32 * uint64(n) >> 32)
	}
	customer := draw(e.Customers)
	identity := mix(random)
	end := e.Month.AddDate(0, 1, 0)
	units := number%unitsShare == 0
	if units {
		end = e.Now.Add(-time.Hour)
	}
	at := e.Month.Add(time.Duration(draw(int(end.Sub(e.Month)/time.Second))) * time.Second)
	to = fmt.Appendf(to, `{"specversion":"1.0","id":"%016x%016x","source":"estate/%d","subject":"customer-%04d","time":"%s",`,
		identity, number, customer%16, customer, at.Format("2006-01-02T15:04:05Z"))
	if units {
		test := draw(e.Tests)
		kind, agent := "cloud", ""
		if draw(2) == 0 {
			kind, agent = "enterprise", fmt.Sprintf(`"agent":"%d",`, customer*10+test%4)
		}
		return fmt.Appendf(to, `"type":"estate.%s","data":{"test":"%s","account_group":"%s",%s"units":%d.5}}`, kind, e.test(customer, test), e.AID(customer, test%2), agent, draw(20))
	}
	service := draw(e.perCustomer())
	return fmt.Appendf(to, `"type":"estate.request","data":{"product":"cdn","service":"%s","region":"%s","contract":"%s","cp_code":%d,"bytes":%d,"status":200}}`,
		e.service(customer, service), regionNames[draw(len(regionNames))], e.Contract(customer), e.code(customer, service%estateCodes), draw(50_000_000))
}
