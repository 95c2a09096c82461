package records

import (
	"context"
	"database/sql"
	"errors"
	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

type balance struct {
	entitlement string
	key         billing.BalanceKey
	amount      meter.Decimal
}

func scanBalance(r store.Row) (balance, error) {
	var b balance
	var text string
	err := r.Scan(&b.entitlement, &b.key.Kind, &b.key.Term, &b.key.Dimension, &b.key.Period, &text)
	if err == nil {
		b.amount, err = meter.ParseDecimal(text)
	}
	return b, err
}

// moveBalances moves balances of an entitlement, such as those that a settled
// portion carries and has used up.
func moveBalances(ctx context.Context, tx *sql.Tx, organization, entitlement string, each func(move func(billing.BalanceKey, meter.Decimal))) error {
	var failed error
	each(func(k billing.BalanceKey, by meter.Decimal) {
		if failed != nil {
			return
		}
		amount := meter.Decimal{}
		var text string
		err := tx.QueryRowContext(ctx, stmt.BalanceGet, organization, entitlement, k.Kind, k.Term, k.Dimension, k.Period).Scan(&text)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			failed = err
			return
		default:
			if amount, failed = meter.ParseDecimal(text); failed != nil {
				return
			}
		}
		_, failed = tx.ExecContext(ctx, stmt.BalancePut, organization, entitlement, k.Kind, k.Term, k.Dimension, k.Period, amount.Add(by).String())
	})
	return failed
}

// Balances proves from the tables where all usage of an organization, or of
// one entitlement, went. It reads everything and is for checks, not for
// requests. Usage of billable metrics counts as mapped when it is frozen.
func (s *Store) Balances(ctx context.Context, organization, entitlement string) (map[billing.DimensionKey]billing.Balance, error) {
	out := map[billing.DimensionKey]*billing.Balance{}
	// A change, though it changes nothing: nothing else changes meanwhile.
	err := s.db.Write(ctx, "add up the reports", func(tx *sql.Tx) error { return addUp(ctx, tx, organization, entitlement, out) })
	if err != nil {
		return nil, err
	}
	result := map[billing.DimensionKey]billing.Balance{}
	for k, b := range out {
		result[k] = *b
	}
	return result, nil
}

func addUp(ctx context.Context, tx *sql.Tx, organization, entitlement string, out map[billing.DimensionKey]*billing.Balance) error {
	of := func(entitlement, dimension string) *billing.Balance {
		k := billing.DimensionKey{Entitlement: entitlement, Dimension: dimension}
		if out[k] == nil {
			out[k] = &billing.Balance{}
		}
		return out[k]
	}
	portions, err := store.List(ctx, tx, scanPortion, stmt.PortionAll, organization, entitlement)
	if err != nil {
		return err
	}
	groups, err := store.List(ctx, tx, scanRecordGroup, stmt.GroupOfEntitlement, organization, entitlement)
	if err != nil {
		return err
	}
	states, claimed, frozen := map[[2]string]string{}, map[string]bool{}, map[string]bool{}
	for _, g := range groups {
		claimed[g.Report] = true
	}
	entitlements := map[string]bool{}
	for i := range portions {
		p := &portions[i]
		states[[2]string{p.Report, p.Dimension}] = p.State
		entitlements[p.Entitlement] = true
		frozen[p.Report] = frozen[p.Report] || p.State == billing.LineFrozen
		addPortion(of(p.Entitlement, p.Dimension), p, claimed[p.Report])
	}
	for i := range groups {
		g := &groups[i]
		for dimension, quantity := range g.Records {
			b := of(g.Entitlement, dimension)
			b.Mapped = b.Mapped.Add(quantity)
			state := states[[2]string{g.Report, dimension}]
			if state == billing.LineMoved && !frozen[g.Report] && g.Status == billing.GroupReportPending {
				state = billing.LineParked // is free when the dimension beside it is resolved
			}
			addPosted(b, g, state, dimension, quantity)
		}
	}
	for id := range entitlements {
		balances, err := store.List(ctx, tx, scanBalance, stmt.BalanceList, organization, id)
		if err != nil {
			return err
		}
		for _, had := range balances {
			if had.key.Kind == billing.BalanceCarry {
				b := of(id, had.key.Dimension)
				b.Carry = b.Carry.Add(had.amount)
			}
		}
		reads, err := store.List(ctx, tx, scanRead, stmt.ReadList, organization, id)
		if err != nil {
			return err
		}
		for _, r := range reads {
			b := of(id, r.dimension)
			b.Mapped = b.Mapped.Add(r.Value)
		}
	}
	return nil
}

// Carried returns all that is carried, by entitlement, dimension and term.
func (s *Store) Carried(ctx context.Context, organization string) ([]billing.Carried, error) {
	all, err := store.List(ctx, s.db.Reader(), func(r store.Row) (billing.Carried, error) {
		var c billing.Carried
		var text string
		err := r.Scan(&c.Entitlement, &c.Dimension, &c.Term, &text)
		if err == nil {
			c.Amount, err = meter.ParseDecimal(text)
		}
		return c, err
	}, stmt.BalanceCarried, organization)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read what is carried")
	}
	return all, nil
}
