package records

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// GroupsAfter returns an organization's groups after a serial, in order.
func (s *Store) GroupsAfter(ctx context.Context, organization string, serial int32, limit int) ([]billing.RecordGroup, error) {
	all, err := store.List(ctx, s.db.Reader(), scanRecordGroup, stmt.RecordGroupAfter, organization, serial, limit)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read usage record groups")
	}
	return all, nil
}

// ownedBalance names a balance of an organization.
type ownedBalance struct {
	entitlement string
	billing.BalanceKey
}

// CheckBalances adds up what the portions of an organization's reports
// have moved, compares with the balances that are stored, both ways, and with
// where all usage went, and calls problem with each difference.
func (s *Store) CheckBalances(ctx context.Context, organization string, problem func(string)) error {
	err := s.db.Write(ctx, "compare the balances", func(tx *sql.Tx) error { // so that nothing changes meanwhile
		return checkBalances(ctx, tx, organization, problem)
	})
	if meter.KindOf(err) == meter.KindCorrupt {
		problem(fmt.Sprintf("balances were not compared: %v", err))
		return nil
	}
	return err
}

func checkBalances(ctx context.Context, tx *sql.Tx, organization string, problem func(string)) error {
	portions, err := store.List(ctx, tx, scanPortion, stmt.PortionAll, organization, "")
	if err != nil {
		return err
	}
	moved := map[ownedBalance]meter.Decimal{}
	for i := range portions {
		p := &portions[i]
		move := func(k billing.BalanceKey, by meter.Decimal) {
			at := ownedBalance{p.Entitlement, k}
			moved[at] = moved[at].Add(by)
		}
		if p.State != billing.LineMoved {
			takings(p, false, move)
		}
		if p.State == billing.LineSettled {
			p.Each(move)
		}
	}
	type stored struct {
		ownedBalance
		amount meter.Decimal
	}
	all, err := store.List(ctx, tx, func(r store.Row) (stored, error) {
		var b stored
		var text string
		err := r.Scan(&b.entitlement, &b.Kind, &b.Term, &b.Dimension, &b.Period, &text)
		if err == nil {
			b.amount, err = meter.ParseDecimal(text)
		}
		return b, err
	}, stmt.BalanceAll, organization)
	if err != nil {
		return err
	}
	for _, b := range all {
		if want := moved[b.ownedBalance]; want.Cmp(b.amount) != 0 {
			problem(fmt.Sprintf("the %s of entitlement %s (term %q, dimension %q, period %q) is %s, its reports say %s", b.Kind, b.entitlement, b.Term, b.Dimension, b.Period, b.amount, want))
		}
		delete(moved, b.ownedBalance)
	}
	missing := slices.SortedFunc(maps.Keys(moved), func(a, b ownedBalance) int {
		return cmp.Or(cmp.Compare(a.entitlement, b.entitlement), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Dimension, b.Dimension))
	})
	for _, k := range missing {
		if !moved[k].IsZero() {
			problem(fmt.Sprintf("the %s of entitlement %s (term %q, dimension %q, period %q) is missing, its reports say %s", k.Kind, k.entitlement, k.Term, k.Dimension, k.Period, moved[k]))
		}
	}
	totals := map[billing.DimensionKey]*billing.Balance{}
	if err := addUp(ctx, tx, organization, "", totals); err != nil {
		return err
	}
	for k, b := range totals {
		if !b.Holds() {
			problem(fmt.Sprintf("usage of dimension %q of entitlement %s does not add up: %s reported or read; %s billed, %s carried, %s pending, %s failed, %s parked, %s absorbed",
				k.Dimension, k.Entitlement, b.Mapped, b.Sent, b.Carry, b.Pending, b.Failed, b.Parked, b.Absorbed))
		}
	}
	return nil
}
