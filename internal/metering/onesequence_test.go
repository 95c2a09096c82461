package metering

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

// busyContext stores usage of all customers each time a place among the reads
// is asked for under it, which is before each part of an answer.
type busyContext struct {
	context.Context
	arrive func()
}

// Value implements context.Context.
func (c busyContext) Value(key any) any {
	if strings.HasSuffix(fmt.Sprintf("%T", key), "heldTurnKey") { // of the package share
		c.arrive()
	}
	return c.Context.Value(key)
}

// TestContractUsageIsOfOneSequence: an answer put together of several scopes
// is of one place in the log, whatever comes in meanwhile.
func TestContractUsageIsOfOneSequence(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	service := s.service(t, Limits{})
	ctx := context.Background()
	if _, _, err := service.CreateMeter(ctx, admin, counter("m")); err != nil {
		t.Fatal(err)
	}
	customers := []string{"a", "b", "c"}
	sent := 0
	arrive := func() {
		var events []string
		for _, customer := range customers {
			sent++
			events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"s","type":"e","subject":%q,"time":%q}`,
				sent, customer, testStart.Add(time.Hour).Format(time.RFC3339)))
		}
		b := s.ledger.SubjectBuilder("default")
		if err := cloudevents.Decode([]byte("["+strings.Join(events, ",")+"]"), cloudevents.Batch, testStart, cloudevents.Limits{FutureAge: 24 * time.Hour}, b); err != nil {
			t.Fatal(err)
		}
		if r, err := s.ledger.Append(ctx, b); err != nil || r.Accepted != len(customers) {
			t.Fatal(r, err)
		}
	}
	arrive()
	day := meter.Period{From: testStart.Truncate(24 * time.Hour), To: testStart.Truncate(24*time.Hour).AddDate(0, 0, 2)}
	var scopes []Scope
	for _, customer := range customers {
		scopes = append(scopes, Scope{Period: day, Customers: []string{customer}})
	}
	q := ProductQuery{Product: "p", UsageType: catalog.UsageType{Meter: "m"}, From: day.From, To: day.To, By: []string{meter.CustomerAttribute}}
	rows, err := service.ContractUsage(busyContext{ctx, arrive}, admin, q, scopes)
	if err != nil || len(rows) != len(customers) {
		t.Fatal(rows, err)
	}
	if sent < 3*len(customers) {
		t.Fatal("nothing came in meanwhile")
	}
	for _, row := range rows {
		if row.Value.String() != rows[0].Value.String() {
			t.Errorf("%s has %s, %s has %s", row.Group, row.Value, rows[0].Group, rows[0].Value)
		}
	}
}
