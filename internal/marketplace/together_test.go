package marketplace

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// TestRetriesBillNoMoreThanTheHour: whatever groups of a refused hour are
// retried, and in which order, what is billed of a metric never exceeds the
// aggregate of the hour, and is all of it at the end.
func TestRetriesBillNoMoreThanTheHour(t *testing.T) {
	t.Parallel()
	for _, aggregation := range []string{"MAX", "LAST", "UNIQUE_COUNT", "COUNT", "SUM"} {
		t.Run(aggregation, func(t *testing.T) {
			t.Parallel()
			for _, cloud := range []string{simulator.AWS, simulator.Azure} {
				s := newShop(t)
				s.apply(oneEach(""))
				retries(t, s, newMarkets(t, s.clock, 1), cloud, aggregation, fixedtest.Rand(t))
			}
		})
	}
}

func retries(t *testing.T, s *shop, m *markets, cloud, aggregation string, random *rand.Rand) {
	ctx, account := context.Background(), cloudAccount(cloud)
	_, err := s.records.PutMeteringConfigs(ctx, org, []billing.MeteringConfig{{Partner: partners[cloud], EnableMapping: true,
		MappingV2: map[string][]billing.MappingValue{"one": {{Dimension: "seat"}}, "two": {{Dimension: "gb"}}}}}, "test")
	s.must(err)
	for _, id := range []string{"one", "two"} {
		definition := fmt.Sprintf(`{"key":%q,"event_type":"suger.metric.%s","aggregation":%q`, id, id, aggregation)
		switch aggregation {
		case "UNIQUE_COUNT":
			definition += `,"value":"properties.user"`
		case "COUNT":
		default:
			definition += `,"value":"quantity"`
		}
		_, err := s.records.CreateBillableMetric(ctx, org, billing.BillableMetric{ID: id, Definition: json.RawMessage(definition + "}"), Info: json.RawMessage(`{}`)})
		s.must(err)
	}
	figures := map[string][]int64{}
	var ids []string
	for i := range 6 { // some groups have a record of each metric: through them all belong together
		g := billing.RecordGroup{ID: fmt.Sprint("r", i), Entitlement: "e-" + cloud, Customer: "acme", Buyer: "acme", Partner: partners[cloud], Product: "cdn",
			Status: billing.GroupCreated, Usage: ten.Add(time.Duration(i) * time.Minute), Source: "API"}
		for at, id := range []string{"one", "two"} {
			if i%3 == 2-at {
				continue
			}
			n := 1 + random.Int64N(4)
			quantity := meter.NewDecimal(n)
			g.Billable = append(g.Billable, billing.BillableRecord{Metric: id, Quantity: &quantity, Properties: json.RawMessage(fmt.Sprintf(`{"user":"u%d"}`, n))})
			figures[id] = append(figures[id], n)
		}
		_, _, err := s.records.CreateRecordGroups(ctx, org, []billing.RecordGroup{g}, billing.Idempotency{})
		s.must(err)
		ids = append(ids, g.ID)
	}
	want := map[string]int64{"seat": aggregateOf(aggregation, figures["one"]), "gb": aggregateOf(aggregation, figures["two"])}
	r := s.reporter(m, "one")
	m.Suspend(account, true)
	s.hourOf(r, ten)
	m.Suspend(account, false)
	failed := map[string]bool{}
	for _, id := range ids {
		failed[id] = s.status(id) == billing.GroupReportFailed
	}
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for i, id := range ids {
		if s.status(id) == billing.GroupReportFailed {
			_, err := s.records.RetryRecordGroup(ctx, org, id, "test")
			s.must(err)
		}
		s.hourOf(r, ten.Add(time.Duration(i+1)*time.Hour))
		for dimension, most := range want {
			if got := m.Total(account, dimension); got.Cmp(meter.NewDecimal(most)) > 0 {
				t.Errorf("%s: %s of %s was billed, the hour's %s is %d", cloud, got, dimension, aggregation, most)
			}
		}
		s.agree(m)
	}
	for dimension, all := range want {
		if got := m.Total(account, dimension); got.Cmp(meter.NewDecimal(all)) != 0 {
			t.Errorf("%s: %s of %s was billed at the end, the hour's %s is %d", cloud, got, dimension, aggregation, all)
		}
	}
	audit, err := s.catalog.AuditEntries(ctx, org, catalog.Page{})
	s.must(err)
	for _, id := range ids {
		s.wantStatus(id, billing.GroupReported)
		if failed[id] && !slices.ContainsFunc(audit.Items, func(e catalog.AuditEntry) bool { return e.Noun == "record_group" && e.ID == id }) {
			t.Errorf("%s: the audit has no retry of %s", cloud, id)
		}
	}
}

// aggregateOf is the figure of an hour, naively.
func aggregateOf(aggregation string, of []int64) int64 {
	sum := int64(0)
	for _, n := range of {
		sum += n
	}
	distinct := slices.Clone(of)
	slices.Sort(distinct)
	return map[string]int64{"MAX": slices.Max(of), "LAST": of[len(of)-1], "UNIQUE_COUNT": int64(len(slices.Compact(distinct))), "COUNT": int64(len(of)), "SUM": sum}[aggregation]
}
