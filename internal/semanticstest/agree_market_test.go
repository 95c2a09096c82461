package semanticstest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/metering"
)

// The market's months, and its clock, which leaves the last one unfinished.
var (
	marketMonths = []string{"2026-09", "2026-10", "2026-11"}
	marketNow    = time.Date(2026, 11, 21, 7, 3, 0, 0, time.UTC)
)

func monthStart(name string) time.Time {
	t, err := time.Parse("2006-01", name)
	if err != nil {
		panic(err)
	}
	return t
}

// market is a catalog and events, as plain values.
type market struct {
	products  []string
	customers []*buyer
	facts     []fact
}

type buyer struct {
	id        string
	services  []string
	contracts []*deal
	tests     []string
}

type deal struct {
	id           string
	starts, ends time.Time // ends may be zero
	terms        []dealTerm
	others       []string // further customers
	codes        []string
}

type dealTerm struct {
	from     time.Time
	products []string
	regional bool
}

// fact is one event.
type fact struct {
	at                                          time.Time
	customer, product, service, region, account string
	contract, code, test, agent                 string
	value                                       *big.Rat
	text                                        string // the value's
	units                                       bool   // of the type units
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func newMarket(r *rand.Rand) *market {
	m := &market{products: []string{"cdn", "dns"}}
	for i := range 3 {
		c := &buyer{id: fmt.Sprintf("c%d", i)}
		for j := range 1 + r.IntN(3) {
			c.services = append(c.services, fmt.Sprintf("S%d%d", i, j))
		}
		for j := range 1 + r.IntN(2) {
			c.tests = append(c.tests, fmt.Sprintf("%d%d", i+1, j))
		}
		for j := range 1 + r.IntN(2) {
			c.contracts = append(c.contracts, newDeal(r, fmt.Sprintf("K-%d%d", i, j)))
		}
		m.customers = append(m.customers, c)
	}
	if r.IntN(2) == 0 { // the last one is billed under a contract of the first
		m.customers[0].contracts[0].others = []string{m.customers[2].id}
	}
	return m
}

func newDeal(r *rand.Rand, id string) *deal {
	day := func(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC) }
	k := &deal{id: id, starts: pick(r, day(1, 1), day(9, 1), day(9, 12), day(10, 20))}
	if r.IntN(4) == 0 {
		k.ends = day(11, 5)
	}
	for _, from := range []time.Time{k.starts, k.starts.AddDate(0, 0, 1+r.IntN(25)), k.starts.AddDate(0, 1, 3)} {
		if len(k.terms) == 0 || (k.ends.IsZero() || from.Before(k.ends)) && r.IntN(2) == 0 {
			k.terms = append(k.terms, dealTerm{from, pick(r, []string{"cdn"}, []string{"cdn", "dns"}), r.IntN(2) == 0})
		}
	}
	for i := range 2 {
		k.codes = append(k.codes, fmt.Sprintf("%s%d", strings.TrimPrefix(id, "K-"), i+1))
	}
	return k
}

// yaml is the catalog as `apply` takes it.
func (m *market) yaml() string {
	var b strings.Builder
	by := "group_by: [customer, contract, product, region, service, cp_code]}\n"
	b.WriteString("meters:\n  - {key: hits, event_type: edge, aggregation: COUNT, " + by +
		"  - {key: bytes, event_type: edge, aggregation: SUM, value: bytes, " + by +
		"  - {key: p95, event_type: edge, aggregation: PERCENTILE, percentile: 95, sample: 5m, rate: true, value: bytes, " + by +
		"  - {key: peak, event_type: edge, aggregation: PEAK, sample: 5m, rate: true, value: bytes, " + by +
		"  - {key: units, event_type: units, aggregation: SUM, value: bytes, group_by: [customer, account_group, test, agent]}\n" +
		"units: {cloud: {meter: units}, enterprise: {meter: units}}\nproducts:\n")
	for _, p := range m.products {
		fmt.Fprintf(&b, `  - id: %s
    name: %s
    usage_types:
      - {name: Total MB, meter: bytes, unit: GB, scale: "0.000000001", billable: true}
      - {name: EU Requests, meter: hits, where: {region: eu}, unit: unit, surfaces: [fastly]}
      - {name: 95/5 Mbps, meter: p95, unit: 95/5 Mbps, scale: "0.000008", surfaces: [akamai]}
      - {name: Total Hits, meter: hits, unit: Total Hits}
      - {name: Peak Mbps, meter: peak, unit: Peak Mbps, scale: "0.000008", surfaces: [akamai]}
`, p, p)
	}
	b.WriteString("customers:\n")
	for i, c := range m.customers {
		fmt.Fprintf(&b, "  - id: %s\n    name: %s\n    account_groups: [{aid: \"%d\", name: G}]\n    services: [{id: %s}]\n    tests: [", c.id, c.id, i+1,
			strings.Join(c.services, ", name: s}, {id: ")+", name: s")
		for _, id := range c.tests {
			fmt.Fprintf(&b, `{id: "%s", name: t, type: HTTP, account_group: "%d", interval_s: 60, enabled: false}, `, id, i+1)
		}
		b.WriteString("]\n    contracts:\n")
		for _, k := range c.contracts {
			fmt.Fprintf(&b, "      - {id: %s, starts: %s, ", k.id, k.starts.Format(time.DateOnly))
			if !k.ends.IsZero() {
				fmt.Fprintf(&b, "ends: %s, ", k.ends.Format(time.DateOnly))
			}
			fmt.Fprintf(&b, "customers: [%s], terms: [", strings.Join(k.others, ", "))
			for _, term := range k.terms {
				regions := "GLOBAL"
				if term.regional {
					regions = "{attribute: region}"
				}
				fmt.Fprintf(&b, "{from: %s, products: [%s], regions: %s}, ", term.from.Format(time.DateOnly), strings.Join(term.products, ", "), regions)
			}
			b.WriteString("]}\n")
		}
		b.WriteString("    cp_codes: [")
		for _, k := range c.contracts {
			for _, code := range k.codes {
				fmt.Fprintf(&b, "{id: %s, name: c, contract: %s}, ", code, k.id)
			}
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// makeEvents makes events of every kind of right and wrong attribution.
func (m *market) makeEvents(r *rand.Rand, n int) {
	var services, contracts, codes, tests []string
	edges := []time.Time{}
	for _, name := range marketMonths {
		edges = append(edges, monthStart(name), monthStart(name).Add(-1))
	}
	for _, c := range m.customers {
		services, tests = append(services, c.services...), append(tests, c.tests...)
		for _, k := range c.contracts {
			contracts, codes = append(contracts, k.id), append(codes, k.codes...)
			for _, term := range k.terms {
				edges = append(edges, term.from, term.from.Add(-1))
			}
		}
	}
	edges = slices.DeleteFunc(edges, marketNow.Before)
	from := monthStart(marketMonths[0])
	for range n {
		f := fact{customer: pick(r, "c0", "c1", "c2", "c0", "c1", "c2", "ghost"), product: pick(r, "cdn", "cdn", "dns", "", "nope"),
			service: pick(r, append(services, "", "SX")...), region: pick(r, "eu", "us", "na", ""), account: pick(r, "1", "2", "", "77"),
			contract: pick(r, append(contracts, "", "", "", "", "K-X")...), code: pick(r, append(codes, "", "9")...),
			test: pick(r, append(tests, "9999", "")...), agent: pick(r, "", "5"), units: r.IntN(4) == 0}
		f.at = from.Add(time.Duration(r.Int64N(int64(marketNow.Sub(from)))).Truncate(time.Second))
		switch r.IntN(4) {
		case 0: // many in few samples
			f.at = from.Add(time.Duration(r.IntN(80)) * 24 * time.Hour).Add(time.Duration(r.IntN(600)) * time.Second)
		case 1:
			f.at = pick(r, edges...)
		}
		f.text = fmt.Sprintf("%d.%06d", r.IntN(1_000_000_000), r.IntN(1_000_000))
		if f.units {
			f.text = pick(r, "0.5", "2.5", "1", "7.25")
		}
		f.value, _ = new(big.Rat).SetString(f.text)
		m.facts = append(m.facts, f)
	}
}

func (m *market) start(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	clock := func() time.Time { return marketNow }
	log, err := ledger.Open(context.Background(), ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: clock, Fatal: func(text string) { t.Error(text) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	s := newServer(t, dir, log, clock)
	t.Cleanup(s.close)
	_, err = s.apply("default", m.yaml(), metering.ApplyOptions{})
	s.check(err)
	var body strings.Builder
	for i, f := range m.facts {
		data := map[string]any{"bytes": json.Number(f.text)}
		for name, text := range map[string]string{"product": f.product, "service": f.service, "region": f.region, "contract": f.contract, "cp_code": f.code,
			"test": f.test, "agent": f.agent, "account_group": f.account} {
			if text != "" || i%2 == 0 { // absent and empty are the same
				data[name] = text
			}
		}
		kind := "edge"
		if f.units {
			kind = "units"
		}
		s.check(json.NewEncoder(&body).Encode(map[string]any{"specversion": "1.0", "id": fmt.Sprint(i), "source": "s", "type": kind, "subject": f.customer,
			"time": f.at, "data": data}))
	}
	result, err := s.service.Ingest(context.Background(), s.admin, []byte(body.String()), cloudevents.NDJSON, false)
	if err != nil || result.Accepted != len(m.facts) {
		t.Fatalf("%+v %v", result, err)
	}
	return s
}

// where returns the facts that a test holds for.
func (m *market) where(holds func(f *fact) bool) []*fact {
	var out []*fact
	for i := range m.facts {
		if f := &m.facts[i]; holds(f) {
			out = append(out, f)
		}
	}
	return out
}
