package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The demo's data: a content delivery network with five customers, whose
// edges report each delivered piece, and a monitoring service that reports
// units. It is the same for every run that starts in the same hour.

// demoProduct is what all customers buy.
const demoProduct = "cdn_usage"

// demoCatalogHead is the part of the catalog that is the same for all customers.
const demoCatalogHead = `meters:
  - {key: edge_requests, name: Requests, event_type: edge.request, aggregation: COUNT, unit: request, group_by: [customer, product, service, region, contract, cp_code]}
  - {key: edge_bytes, name: Bytes delivered, event_type: edge.request, aggregation: SUM, value: bytes, unit: byte, group_by: [customer, product, service, region, contract, cp_code]}
  - {key: edge_p95, name: 95th percentile of 5-minute rates, event_type: edge.request, aggregation: PERCENTILE, percentile: 95, sample: 5m, rate: true, value: bytes, unit: byte/s, group_by: [customer, product, contract, region]}
  - {key: edge_peak, name: Largest 5-minute rate, event_type: edge.request, aggregation: PEAK, sample: 5m, rate: true, value: bytes, unit: byte/s, group_by: [customer, product, contract, region]}
  - {key: errors, name: Server errors, event_type: edge.request, aggregation: COUNT, filters: [[{attribute: status, op: GTE, value: 500}]], group_by: [customer, service]}
  - {key: visitors, name: Distinct clients, event_type: edge.request, aggregation: UNIQUE_COUNT, value: client, group_by: [customer, service]}
  - {key: cloud_units, name: Units of cloud agents, event_type: cloud.units, aggregation: SUM, value: units, unit: unit, group_by: [customer, account_group, test, agent]}
  - {key: enterprise_units, name: Units of enterprise agents, event_type: enterprise.units, aggregation: SUM, value: units, unit: unit, group_by: [customer, account_group, test, agent]}
products:
  - id: cdn_usage
    name: Content Delivery
    usage_types:
      - {name: Europe Requests, meter: edge_requests, where: {region: eu-west}, unit: request, billable: true, surfaces: [fastly]}
      - {name: Requests, meter: edge_requests, unit: request, billable: true, surfaces: [fastly]}
      - {name: Total GB, meter: edge_bytes, unit: GB, scale: "0.000000001", billable: true, surfaces: [fastly]}
      - {name: Total MB, meter: edge_bytes, unit: GB, scale: "0.000000001", billable: true, surfaces: [akamai]}
      - {name: 95/5 Mbps, meter: edge_p95, unit: 95/5 Mbps, scale: "0.000008", surfaces: [akamai]}
      - {name: Total Hits, meter: edge_requests, unit: Total Hits, surfaces: [akamai]}
      - {name: Peak Mbps, meter: edge_peak, unit: Peak Mbps, scale: "0.000008", surfaces: [akamai]}
units:
  cloud: {meter: cloud_units}
  enterprise: {meter: enterprise_units}
  rates:
    Web - HTTP Server: {cloud: "1", enterprise: "0.5", per: timeout_s}
customers:
`

// What each sample test is: run every 5 minutes with a timeout of 5 s, from
// two cloud agents and one of the customer's own. Its units follow from the rates.
const (
	demoTestIntervalS   = 300
	demoTestTimeoutS    = 5
	demoTestCloudAgents = 2

	demoRunsAnHour      = 3600 / demoTestIntervalS
	demoCloudUnits      = demoRunsAnHour * demoTestTimeoutS * demoTestCloudAgents // an hour
	demoEnterpriseUnits = demoRunsAnHour * demoTestTimeoutS / 2
)

// demoCatalog is the sample catalog, as apply takes it.
func demoCatalog(now time.Time) []byte {
	text := []byte(demoCatalogHead)
	for i := range demoCustomers {
		c := &demoCustomers[i]
		text = fmt.Appendf(text, "  - id: %s\n    name: %s\n    account_id: A-%d\n    services:\n", c.id, c.name, 1001+i)
		for _, s := range c.services {
			text = fmt.Appendf(text, "      - {id: %s, name: %s}\n", s, c.id+" "+s)
		}
		text = fmt.Appendf(text, "    contracts: [{id: %s, starts: 2020-01-01, terms: [{from: 2020-01-01, products: [%s], regions: GLOBAL}]}]\n    cp_codes:\n", c.contract(), demoProduct)
		for s := range c.services {
			text = fmt.Appendf(text, "      - {id: %d, name: %s, contract: %s, product: %s}\n", c.code(s), c.services[s], c.contract(), demoProduct)
		}
		text = fmt.Appendf(text, "    reporting_groups: [{id: %d, name: all, cp_codes: [%d]}]\n", 11+i, c.code(0))
		text = fmt.Appendf(text, "    account_groups: [{aid: \"%s\", name: Web}]\n", c.aid())
		text = fmt.Appendf(text, "    agents: [{id: \"%s\", name: Oslo, kind: enterprise, account_group: \"%s\", effective: %s}]\n", c.agent(), c.aid(), now.AddDate(0, 0, -demoDays).Format(time.DateOnly))
		text = fmt.Appendf(text, "    tests: [{id: \"%s\", name: home page, type: Web - HTTP Server, account_group: \"%s\", interval_s: %d, timeout_s: %d, agents: [\"%s\"], cloud_agents: %d}]\n",
			c.test(), c.aid(), demoTestIntervalS, demoTestTimeoutS, c.agent(), demoTestCloudAgents)
		text = append(text, "    quota: {cloud_units: 100000, enterprise_agents: 5}\n"...)
	}
	return appendDemoEntitlements(text, now)
}

type demoCustomer struct {
	number   int // in what its names end
	id       string
	name     string
	services []string
	weight   int // events per busy hour
	night    int // share of the busy hour left at the quietest one, in percent
	growth   int // percent over the two months
	piece    int // mean bytes of one event
	errors   int // of 1,000 events
}

var demoCustomers = []demoCustomer{
	{1, "news-daily", "News Daily", []string{"www", "images"}, 60, 25, 5, 900_000, 4},
	{2, "game-hub", "Game Hub", []string{"downloads", "api"}, 45, 60, 20, 38_000_000, 2},
	{3, "shop-inc", "Shop Inc", []string{"shop", "blog"}, 35, 15, 12, 1_200_000, 9},
	{4, "video-lane", "Video Lane", []string{"vod", "live"}, 50, 30, 30, 21_000_000, 1},
	{5, "acme-bank", "Acme Bank", []string{"portal"}, 12, 10, 0, 240_000, 1},
}

// demoShown is the customer of the printed lines.
const demoShown = 3

func (c *demoCustomer) contract() string     { return fmt.Sprintf("K-100%d", c.number) }
func (c *demoCustomer) aid() string          { return fmt.Sprintf("200%d", c.number) }
func (c *demoCustomer) agent() string        { return fmt.Sprintf("300%d", c.number) }
func (c *demoCustomer) test() string         { return fmt.Sprintf("400%d", c.number) }
func (c *demoCustomer) code(service int) int { return 500_000 + 10*c.number + service }

var (
	demoRegions = []string{"eu-west", "us-east", "us-west", "ap-south"}
	// demoHours is the share of the busiest hour, in percent, by UTC hour.
	demoHours = [24]int{34, 26, 20, 16, 14, 15, 22, 38, 55, 66, 72, 76, 80, 79, 77, 78, 82, 88, 95, 100, 98, 86, 66, 48}
)

const demoDays = 62 // the whole calendar month before any day lies in them

// demoEvents calls emit with each event, as CloudEvents JSON, of the two
// months before now, in order of time.
func demoEvents(now time.Time, emit func(event []byte) error) error {
	random := rand.New(rand.NewPCG(20261122, 1))
	start := now.UTC().Truncate(time.Hour).AddDate(0, 0, -demoDays)
	hours := int(now.Sub(start) / time.Hour)
	var number int
	var buf []byte
	for hour := range hours {
		at := start.Add(time.Duration(hour) * time.Hour)
		for i := range demoCustomers {
			c := &demoCustomers[i]
			for range c.events(at, hour, hours, random) {
				number++
				buf = c.appendRequest(buf[:0], number, at.Add(time.Duration(random.IntN(3600_000))*time.Millisecond), random)
				if err := emit(buf); err != nil {
					return err
				}
			}
		}
		for i := range demoCustomers {
			for _, kind := range []struct {
				name  string
				units int
			}{{"cloud", demoCloudUnits}, {"enterprise", demoEnterpriseUnits}} {
				number++
				buf = demoCustomers[i].appendUnits(buf[:0], number, at, kind.name, kind.units)
				if err := emit(buf); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// events is how many pieces the customer's edges report in one hour.
func (c *demoCustomer) events(at time.Time, hour, hours int, random *rand.Rand) int {
	share := c.night + (100-c.night)*demoHours[at.Hour()]/100
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		share = share * 80 / 100
	}
	mean := c.weight * share * (100 + c.growth*hour/hours) / 10_000
	return mean*3/4 + random.IntN(mean/2+2)
}

func (c *demoCustomer) appendRequest(buf []byte, number int, at time.Time, random *rand.Rand) []byte {
	status := 200
	switch draw := random.IntN(1000); {
	case draw < c.errors:
		status = 503
	case draw < 30:
		status = 404
	case draw < 130:
		status = 304
	}
	size := c.piece/2 + random.IntN(c.piece)
	if status != 200 {
		size = 300 + random.IntN(200)
	}
	service := random.IntN(len(c.services))
	return fmt.Appendf(buf, `{"specversion":"1.0","id":"edge-%06d","source":"demo/edge","type":"edge.request","subject":"%s","time":"%s",`+
		`"data":{"product":"%s","contract":"%s","cp_code":%d,"service":"%s","region":"%s","bytes":%d,"status":%d,"client":"198.51.%d.%d"}}`,
		number, c.id, at.Format("2006-01-02T15:04:05.000Z07:00"), demoProduct, c.contract(), c.code(service), c.services[service],
		demoRegions[min(random.IntN(7), len(demoRegions)-1)], size, status, random.IntN(100), random.IntN(250))
}

// appendUnits is what the customer's test used in one hour.
func (c *demoCustomer) appendUnits(buf []byte, number int, at time.Time, kind string, units int) []byte {
	agent := ""
	if kind == "enterprise" {
		agent = fmt.Sprintf(`"agent":"%s",`, c.agent())
	}
	return fmt.Appendf(buf, `{"specversion":"1.0","id":"units-%06d","source":"demo/monitor","type":"%s.units","subject":"%s","time":"%s",`+
		`"data":{"account_group":"%s","test":"%s",%s"units":%d}}`, number, kind, c.id, at.Format(time.RFC3339), c.aid(), c.test(), agent, units)
}
