package semanticstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/fixedtest"
)

// TestSurfacesAgree: the same random events over a random catalog, read
// through every surface and the native API, are what a naive sum of fractions
// makes of them.
func TestSurfacesAgree(t *testing.T) {
	t.Parallel()
	rounds, events := 6, 4000
	if testing.Short() {
		rounds, events = 1, 1500
	}
	r := fixedtest.Rand(t)
	for range rounds {
		m := newMarket(r)
		m.makeEvents(r, events)
		s := m.start(t)
		all := s.key(access.NewKey{Organization: "default", Role: access.RoleRead})
		for _, c := range m.customers {
			bound := s.key(access.NewKey{Organization: "default", Role: access.RoleRead, Customer: c.id})
			m.compareNative(s, all, bound, c)
			m.compareFastly(s, all, bound, c)
			m.compareUnits(s, all, c)
			for _, k := range c.contracts {
				m.compareContract(s, all, c, k)
				m.compareContract(s, bound, c, k) // with what others used under it
				m.compareReport(s, all, bound, c, k)
			}
		}
		if t.Failed() {
			t.Fatalf("the catalog:\n%s", m.yaml())
		}
	}
}

func sum(facts []*fact) *big.Rat {
	total := new(big.Rat)
	for _, f := range facts {
		total.Add(total, f.value)
	}
	return total
}

// halfEven rounds to a number of decimals.
func halfEven(r *big.Rat, places int) *big.Rat {
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(power))
	whole, rest := new(big.Int).DivMod(scaled.Num(), scaled.Denom(), new(big.Int))
	switch twice := rest.Lsh(rest, 1).Cmp(scaled.Denom()); {
	case twice > 0, twice == 0 && whole.Bit(0) == 1:
		whole.Add(whole, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(whole, power)
}

// equal compares an answer's number with the naive one.
func (s *server) equal(what string, got json.Number, want *big.Rat) {
	s.t.Helper()
	r, ok := new(big.Rat).SetString(got.String())
	if !ok || r.Cmp(want) != 0 {
		s.t.Errorf("%s: %s, want %s", what, got, want.FloatString(14))
	}
}

func product(f *fact, p string) bool { return f.product == "" || f.product == p }

func during(f *fact, from, to time.Time) bool { return !f.at.Before(from) && f.at.Before(to) }

// compareNative compares the meters of one customer, by month.
func (m *market) compareNative(s *server, all, bound credential, c *buyer) {
	s.t.Helper()
	for _, month := range marketMonths {
		from, to := monthStart(month), monthStart(month).AddDate(0, 1, 0)
		facts := m.where(func(f *fact) bool { return f.customer == c.id && !f.units && during(f, from, to) })
		for meter, want := range map[string]*big.Rat{"hits": big.NewRat(int64(len(facts)), 1), "bytes": sum(facts)} {
			for _, k := range []credential{all, bound} {
				var answer struct{ Total json.Number }
				s.get("native", k, fmt.Sprintf("/api/v1/meters/%s/usage?from=%s&to=%s&filter[customer]=%s", meter, from.Format(time.RFC3339), to.Format(time.RFC3339), c.id), &answer)
				s.equal(fmt.Sprintf("native %s of %s in %s", meter, c.id, month), answer.Total, want)
			}
		}
	}
}

// knows says whether a key of a customer may know of a product: it is nobody's,
// or that of a contract under which the customer is billed.
func (m *market) knows(c *buyer, p string) bool {
	nobodys := true
	for _, b := range m.customers {
		for _, k := range b.contracts {
			if !slices.ContainsFunc(k.terms, func(t dealTerm) bool { return slices.Contains(t.products, p) }) {
				continue
			}
			if nobodys = false; b == c || slices.Contains(k.others, c.id) {
				return true
			}
		}
	}
	return nobodys
}

// compareReport compares usage by product, of the customer and under one of
// its contracts, which are exact.
func (m *market) compareReport(s *server, all, bound credential, c *buyer, k *deal) {
	s.t.Helper()
	for _, month := range marketMonths {
		from, to := monthStart(month), monthStart(month).AddDate(0, 1, 0)
		for _, p := range m.products {
			for name, line := range fastlyLines {
				for _, contract := range []string{"", k.id} {
					facts := m.where(func(f *fact) bool {
						return f.customer == c.id && !f.units && product(f, p) && line.takes(f) && during(f, from, to) && (contract == "" || m.billedTo(f, c, k, p))
					})
					exact := func(facts []*fact) *big.Rat {
						if name == "Total MB" {
							return new(big.Rat).Mul(sum(facts), big.NewRat(1, 1_000_000_000))
						}
						return big.NewRat(int64(len(facts)), 1)
					}
					under := ""
					if contract != "" {
						under = "&contract=" + contract
					}
					for i, key := range []credential{all, bound} {
						told := facts
						if i == 1 && !m.knows(c, p) { // what its own events name is told of it
							if told = slices.DeleteFunc(slices.Clone(facts), func(f *fact) bool { return f.product != p }); len(told) == 0 {
								continue // else it is unknown
							}
						}
						var answer struct{ Rows []struct{ Value json.Number } }
						s.get("native", key, fmt.Sprintf("/api/v1/usage?customer=%s&product=%s&usage_type=%s%s&from=%s&to=%s", c.id, p,
							strings.ReplaceAll(name, " ", "+"), under, from.Format(time.RFC3339), to.Format(time.RFC3339)), &answer)
						got := json.Number("0")
						if len(answer.Rows) == 1 {
							got = answer.Rows[0].Value
						} else if len(answer.Rows) > 1 {
							s.t.Errorf("%d rows of %s %s", len(answer.Rows), p, name)
						}
						s.equal(fmt.Sprintf("native %s %s of %s in %s, contract %q", p, name, c.id, month, contract), got, exact(told))
					}
				}
			}
		}
	}
}

// fastlyLines are the usage types of each product with their naive figures.
var fastlyLines = map[string]struct {
	takes  func(f *fact) bool
	figure func(facts []*fact) *big.Rat
}{
	"Total MB": {func(*fact) bool { return true }, func(facts []*fact) *big.Rat {
		return halfEven(new(big.Rat).Mul(sum(facts), big.NewRat(1, 1_000_000_000)), 12)
	}},
	"EU Requests": {func(f *fact) bool { return f.region == "eu" }, func(facts []*fact) *big.Rat { return big.NewRat(int64(len(facts)), 1) }},
	"Total Hits":  {func(*fact) bool { return true }, func(facts []*fact) *big.Rat { return big.NewRat(int64(len(facts)), 1) }},
}

func (m *market) compareFastly(s *server, all, bound credential, c *buyer) {
	s.t.Helper()
	var monthly struct {
		Data []struct {
			Month, Name string
			ProductID   string `json:"product_id"`
			Quantity    json.Number
		}
	}
	s.get("fastly", bound, "/billing/v3/usage-metrics?start_month=2026-09&end_month=2026-11", &monthly)
	whole := map[string]json.Number{}
	for _, row := range monthly.Data {
		whole[row.Month+row.ProductID+row.Name] = row.Quantity
	}
	for _, month := range marketMonths {
		from, to := monthStart(month), monthStart(month).AddDate(0, 1, 0)
		for _, p := range m.products {
			for name, line := range fastlyLines {
				what := fmt.Sprintf("fastly %s %s of %s in %s", p, name, c.id, month)
				facts := m.where(func(f *fact) bool {
					return f.customer == c.id && !f.units && product(f, p) && line.takes(f) && during(f, from, to)
				})
				got := whole[month+p+name]
				if got == "" {
					got = "0"
				}
				s.equal(what+", account", got, line.figure(facts))
				by := map[string][]*fact{}
				for _, f := range facts {
					if slices.Contains(c.services, f.service) {
						by[f.service] = append(by[f.service], f)
					}
				}
				query := fmt.Sprintf("product_id=%s&usage_type_name=%s&start_month=%s&end_month=%s&limit=100", p, strings.ReplaceAll(name, " ", "+"), month, month)
				compareServices(s, what+", v2", all, "/billing/v2/account_customers/"+c.id+"/service-usage-metrics?time_granularity=month&"+query, by, line.figure)
				v3 := "/billing/v3/service-usage-metrics?" + query
				if len(by) > 0 || m.knows(c, p) {
					compareServices(s, what+", v3", bound, v3, by, line.figure)
				} else if w := s.send("fastly", &bound, http.MethodGet, v3); w.Code != http.StatusBadRequest { // it is unknown
					s.t.Errorf("%s, v3: %d %s", what, w.Code, w.Body)
				}
			}
		}
	}
}

func compareServices(s *server, what string, k credential, target string, by map[string][]*fact, figure func([]*fact) *big.Rat) {
	s.t.Helper()
	var answer struct {
		Data struct {
			Details []struct {
				ServiceID  string      `json:"service_id"`
				UsageUnits json.Number `json:"usage_units"`
			}
			Meta struct{ Total int }
		}
	}
	s.get("fastly", k, target, &answer)
	if answer.Data.Meta.Total != len(by) || len(answer.Data.Details) != len(by) {
		s.t.Errorf("%s: %d rows, total %d, want %d", what, len(answer.Data.Details), answer.Data.Meta.Total, len(by))
	}
	for _, row := range answer.Data.Details {
		s.equal(what+" "+row.ServiceID, row.UsageUnits, figure(by[row.ServiceID]))
	}
}

// compareUnits compares units by test, whose sum is the meter's where tests
// and account groups are in doubt too.
func (m *market) compareUnits(s *server, all credential, c *buyer) {
	s.t.Helper()
	aid := strings.TrimPrefix(c.id, "c")
	aid = fmt.Sprint(int(aid[0]-'0') + 1)
	for _, month := range marketMonths {
		from, to := monthStart(month), monthStart(month).AddDate(0, 1, 0)
		want := map[string]*big.Rat{}
		for _, f := range m.where(func(f *fact) bool { return f.customer == c.id && f.units && during(f, from, to) }) {
			group := "" // of an unknown test: the event's own if it is the customer's
			if slices.Contains(c.tests, f.test) || f.account == aid {
				group = aid
			}
			key := group + "/" + f.test
			if want[key] == nil {
				want[key] = new(big.Rat)
			}
			want[key].Add(want[key], f.value)
		}
		got := map[string]json.Number{}
		next := fmt.Sprintf("/v7/usage/units/tests?aid=%s&startDate=%s&endDate=%s", aid, from.Format(time.RFC3339), to.Format(time.RFC3339))
		for next != "" {
			var page struct {
				Breakdowns []struct {
					AID, TestID    string
					CloudUnitsUsed json.Number
				}
				Links struct{ Next struct{ Href string } } `json:"_links"`
			}
			s.get("thousandeyes", all, next, &page)
			for _, row := range page.Breakdowns {
				if row.CloudUnitsUsed != "0" { // a row of what the cycle projects
					got[row.AID+"/"+row.TestID] = row.CloudUnitsUsed
				}
			}
			next = strings.TrimPrefix(page.Links.Next.Href, "https://"+publicHost)
		}
		for key, units := range want {
			halfUp := halfEven(new(big.Rat).Add(units, big.NewRat(1, 1000)), 0) // no unit here is finer than a quarter
			s.equal(fmt.Sprintf("units of %s in %s, %s", c.id, month, key), got[key], halfUp)
		}
		if len(got) != len(want) {
			s.t.Errorf("units of %s in %s: rows %v, want %v", c.id, month, got, want)
		}
	}
}

// holds says whether the deal has a product at an instant.
func (k *deal) holds(p string, at time.Time) bool {
	if at.Before(k.starts) || !k.ends.IsZero() && !at.Before(k.ends) {
		return false
	}
	has := false
	for _, term := range k.terms {
		if !at.Before(term.from) {
			has = slices.Contains(term.products, p)
		}
	}
	return has
}

// dealsOf are the deals under which a customer is billed.
func (m *market) dealsOf(customer string) []*deal {
	var out []*deal
	for _, c := range m.customers {
		for _, k := range c.contracts {
			if c.id == customer || slices.Contains(k.others, customer) {
				out = append(out, k)
			}
		}
	}
	return out
}

// billedTo says whether an event is of a deal, as which it counts for a product.
func (m *market) billedTo(f *fact, owner *buyer, k *deal, p string) bool {
	if f.customer != owner.id && !slices.Contains(k.others, f.customer) || f.units || !product(f, p) || !k.holds(p, f.at) {
		return false
	}
	if f.contract != "" {
		return f.contract == k.id
	}
	n := 0
	for _, other := range m.dealsOf(f.customer) {
		if other.holds(p, f.at) {
			n++
		}
	}
	return n == 1
}

// compareContract compares Akamai's four statistics of each sub-period.
func (m *market) compareContract(s *server, as credential, c *buyer, k *deal) {
	s.t.Helper()
	for _, p := range m.products {
		if !slices.ContainsFunc(k.terms, func(term dealTerm) bool { return slices.Contains(term.products, p) }) {
			continue
		}
		want := map[string]map[string]*big.Rat{}
		first := ""
		for _, month := range marketMonths {
			from, to := monthStart(month), monthStart(month).AddDate(0, 1, 0)
			if !k.starts.Before(to) {
				continue
			}
			if first == "" {
				first = month
			}
			for i, term := range k.terms {
				start, end := from, to
				if start.Before(term.from) {
					start = term.from
				}
				if i+1 < len(k.terms) && k.terms[i+1].from.Before(end) {
					end = k.terms[i+1].from
				}
				if !k.ends.IsZero() && k.ends.Before(end) {
					end = k.ends
				}
				if slices.Contains(term.products, p) && start.Before(end) {
					m.statistics(want, c, k, p, term.regional, start, end)
				}
			}
		}
		if first == "" {
			continue
		}
		var answer struct {
			UsagePeriods []struct {
				Start, End, Region string
				Stats              []struct {
					StatType string
					Value    json.Number
				}
			}
		}
		s.get("akamai", as, fmt.Sprintf("/billing/v1/contracts/%s/products/%s/usage/monthly-summary?start=%s&end=2026-12", k.id, p, first), &answer)
		for _, period := range answer.UsagePeriods {
			key := period.Start + " " + period.End + " " + period.Region
			figures := want[key]
			delete(want, key)
			if len(period.Stats) != 4 || figures == nil {
				s.t.Errorf("akamai %s %s: %+v, want %v", k.id, p, period, figures)
				continue
			}
			for _, stat := range period.Stats {
				s.equal(fmt.Sprintf("akamai %s %s %s %s", k.id, p, key, stat.StatType), stat.Value, figures[stat.StatType])
			}
		}
		if len(want) > 0 {
			s.t.Errorf("akamai %s %s: left out %v", k.id, p, slices.Sorted(maps.Keys(want)))
		}
	}
}

// statistics adds the naive figures of a sub-period, by region if it has them.
func (m *market) statistics(to map[string]map[string]*big.Rat, c *buyer, k *deal, p string, regional bool, start, end time.Time) {
	by := map[string][]*fact{}
	for _, f := range m.where(func(f *fact) bool { return during(f, start, end) && m.billedTo(f, c, k, p) }) {
		region := "GLOBAL"
		if regional {
			region = f.region
			if region == "" {
				region = "UNKNOWN"
			}
		}
		by[region] = append(by[region], f)
	}
	for region, facts := range by {
		samples := samplesOf(facts, start, end)
		n := len(samples)
		mbps := func(bytes *big.Rat) *big.Rat { // to 12 decimals as a quotient, to 6 as an answer
			return halfEven(halfEven(new(big.Rat).Mul(bytes, big.NewRat(8, 300*1_000_000)), 12), 6)
		}
		to[start.Format(time.DateOnly)+" "+end.Add(-1).Format(time.DateOnly)+" "+region] = map[string]*big.Rat{
			"Total MB":   halfEven(new(big.Rat).Mul(sum(facts), big.NewRat(1, 1_000_000_000)), 6),
			"Total Hits": big.NewRat(int64(len(facts)), 1),
			"95/5 Mbps":  mbps(samples[n-n*5/100-1]),
			"Peak Mbps":  mbps(samples[n-1]),
		}
	}
}

// samplesOf are the sums of the five minutes of a period that have ended, in
// ascending order.
func samplesOf(facts []*fact, start, end time.Time) []*big.Rat {
	if marketNow.Before(end) {
		end = marketNow.Truncate(5 * time.Minute)
	}
	samples := make([]*big.Rat, int(end.Sub(start)/(5*time.Minute)))
	for i := range samples {
		samples[i] = new(big.Rat)
	}
	for _, f := range facts {
		if i := int(f.at.Sub(start) / (5 * time.Minute)); i < len(samples) {
			samples[i].Add(samples[i], f.value)
		}
	}
	slices.SortFunc(samples, (*big.Rat).Cmp)
	return samples
}
