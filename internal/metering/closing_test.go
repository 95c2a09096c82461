package metering

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// customersBook keeps whose month was closed, and does something of each.
type customersBook struct{ before func(c Closing) error }

func (customersBook) Surface() string { return "customers" }

func (b customersBook) Figures(_ context.Context, c Closing) (any, error) {
	return c.Customer, b.before(c)
}

// closingWorld has many customers.
func closingWorld(t *testing.T, customers int, before func(c Closing) error) *periodWorld {
	t.Helper()
	w := newPeriodWorld(t)
	w.KeepBooks(customersBook{before})
	var text strings.Builder
	text.WriteString("customers:\n")
	for i := range customers {
		fmt.Fprintf(&text, "  - id: c%04d\n", i)
	}
	if _, err := w.Apply(context.Background(), admin, []byte(text.String()), ApplyOptions{Prune: true}); err != nil {
		t.Fatal(err)
	}
	return w
}

// A closing that is broken off goes on with the customers that are left. Those
// of one closing are as of one sequence.
func TestCloseMonthGoesOn(t *testing.T) {
	t.Parallel()
	const customers, fails = 2*closedAtOnce + 50, closedAtOnce + 20
	broken := errors.New("no ink")
	w := closingWorld(t, customers, func(c Closing) error {
		if c.Customer == fmt.Sprintf("c%04d", fails) {
			return broken
		}
		return nil
	})
	ctx := context.Background()
	sequences := map[uint64]int{}
	closed := 0
	tell := func(p catalog.Period) error {
		if want := fmt.Sprintf("c%04d", closed); p.Customer != want || !strings.Contains(string(p.Figures), want) {
			t.Errorf("%s was closed with %s, want %s", p.Customer, p.Figures, want)
		}
		closed++
		sequences[p.Sequence]++
		return nil
	}
	if err := w.CloseMonth(ctx, admin, "2026-01", tell); !errors.Is(err, broken) || closed != fails {
		t.Fatalf("%d closed, %v", closed, err)
	}
	if n := w.Stats().PeriodsClosed; n != fails || w.closed(t, fmt.Sprintf("c%04d", fails-1)) != "2026-01" || w.closed(t, fmt.Sprintf("c%04d", fails)) != "" {
		t.Errorf("%d are closed", n)
	}
	broken = nil
	if _, err := w.ClosePeriod(ctx, admin, fmt.Sprintf("c%04d", fails), "2026-01"); err != nil {
		t.Fatal(err)
	}
	closed++
	if err := w.CloseMonth(ctx, admin, "2026-01", tell); err != nil || closed != customers || len(sequences) != 1 {
		t.Errorf("%d closed at %v, %v", closed, sequences, err)
	}
}

// While an organization closes its months, another one closes its own, and
// what else is asked of either does not wait.
func TestClosingsOfOthers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	inside, leave := make(chan struct{}), make(chan struct{})
	w := closingWorld(t, 3, func(c Closing) error {
		if c.Asks.Organization == "default" && c.Customer == "c0001" {
			close(inside)
			<-leave
		}
		return nil
	})
	if _, err := w.catalog.CreateOrganization(ctx, catalog.NewOrganization{ID: "other"}, "test"); err != nil {
		t.Fatal(err)
	}
	other := access.Principal{Organization: "other", KeyID: "test", Role: access.RoleAdmin}
	const document = "meters: [{key: hits, event_type: e, aggregation: COUNT}]\ncustomers: [{id: acme}, {id: beta}]"
	if _, err := w.Apply(ctx, other, []byte(document), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- w.CloseMonth(ctx, admin, "2026-01", func(catalog.Period) error { return nil }) }()
	<-inside
	told := 0
	if err := w.CloseMonth(ctx, other, "2026-01", func(catalog.Period) error { told++; return nil }); err != nil || told != 2 {
		t.Errorf("%d, %v", told, err)
	}
	if _, err := w.Apply(ctx, admin, []byte("customers: [{id: late}]"), ApplyOptions{}); err != nil {
		t.Error(err)
	}
	if _, _, err := w.Period(ctx, admin, "c0000", "2026-01"); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.ClosePeriod(short, admin, "c0002", "2026-01"); meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("the organization's other closing did not wait: %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
