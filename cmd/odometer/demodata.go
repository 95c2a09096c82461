package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// The demo's data: a content delivery network with five customers, whose
// edges report each delivered piece, and a monitoring service that reports
// units. It is the same for every run that starts in the same hour.

// demoMeters are the meters of the sample catalogue, as the native API takes them.
var demoMeters = []string{
	`{"key":"edge_requests","name":"Requests","event_type":"edge.request","aggregation":"COUNT","unit":"request",
	  "group_by":["customer","product","service","region"]}`,
	`{"key":"edge_bytes","name":"Bytes delivered","event_type":"edge.request","aggregation":"SUM","value":"bytes","unit":"byte",
	  "group_by":["customer","product","service","region"]}`,
	`{"key":"edge_p95","name":"95th percentile of 5-minute rates","event_type":"edge.request","aggregation":"PERCENTILE","percentile":"95",
	  "sample":"5m","rate":true,"value":"bytes","unit":"byte/s","group_by":["customer","region"]}`,
	`{"key":"errors","name":"Server errors","event_type":"edge.request","aggregation":"COUNT",
	  "filters":[[{"attribute":"status","op":"GTE","value":500}]],"group_by":["customer","service"]}`,
	`{"key":"visitors","name":"Distinct clients","event_type":"edge.request","aggregation":"UNIQUE_COUNT","value":"client",
	  "group_by":["customer","service"]}`,
	`{"key":"cloud_units","name":"Monitoring units","event_type":"cloud.units","aggregation":"SUM","value":"units","unit":"unit",
	  "group_by":["customer","test"]}`,
}

type demoCustomer struct {
	id       string
	services []string
	weight   int // events per busy hour
	night    int // share of the busy hour left at the quietest one, in percent
	growth   int // percent over the two months
	piece    int // mean bytes of one event
	errors   int // of 1,000 events
}

var demoCustomers = []demoCustomer{
	{"news-daily", []string{"www", "images"}, 60, 25, 5, 900_000, 4},
	{"game-hub", []string{"downloads", "api"}, 45, 60, 20, 38_000_000, 2},
	{"shop-inc", []string{"shop", "blog"}, 35, 15, 12, 1_200_000, 9},
	{"video-lane", []string{"vod", "live"}, 50, 30, 30, 21_000_000, 1},
	{"acme-bank", []string{"portal"}, 12, 10, 0, 240_000, 1},
}

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
		for test := range 3 {
			number++
			buf = fmt.Appendf(buf[:0], `{"specversion":"1.0","id":"units-%06d","source":"demo/monitor","type":"cloud.units","subject":"%s","time":"%s",`+
				`"data":{"test":"test-%d","units":%d.5}}`, number, demoCustomers[test].id, at.Format(time.RFC3339), 901+test, 4+test*3)
			if err := emit(buf); err != nil {
				return err
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
	return fmt.Appendf(buf, `{"specversion":"1.0","id":"edge-%06d","source":"demo/edge","type":"edge.request","subject":"%s","time":"%s",`+
		`"data":{"product":"cdn_usage","service":"%s","region":"%s","bytes":%d,"status":%d,"client":"198.51.%d.%d"}}`,
		number, c.id, at.Format("2006-01-02T15:04:05.000Z07:00"), c.services[random.IntN(len(c.services))],
		demoRegions[min(random.IntN(7), len(demoRegions)-1)], size, status, random.IntN(100), random.IntN(250))
}
