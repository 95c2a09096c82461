package catalog

import (
	"context"
	"database/sql"
	"errors"
	"odometer/internal/meter"
)

type balance struct {
	key    BalanceKey
	amount meter.Decimal
}

func scanBalance(r Row) (balance, error) {
	var b balance
	var text string
	err := r.Scan(&b.key.Kind, &b.key.Term, &b.key.Dimension, &b.key.Period, &text)
	if err == nil {
		b.amount, err = meter.ParseDecimal(text)
	}
	return b, err
}

// moveBalances moves balances of an entitlement, such as those that a settled
// portion carries and has used up.
func moveBalances(ctx context.Context, tx *sql.Tx, organization, entitlement string, each func(move func(BalanceKey, meter.Decimal))) error {
	var failed error
	each(func(k BalanceKey, by meter.Decimal) {
		if failed != nil {
			return
		}
		amount := meter.Decimal{}
		var text string
		err := tx.QueryRowContext(ctx, stmtRecords.BalanceGet, organization, entitlement, k.Kind, k.Term, k.Dimension, k.Period).Scan(&text)
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
		_, failed = tx.ExecContext(ctx, stmtRecords.BalancePut, organization, entitlement, k.Kind, k.Term, k.Dimension, k.Period, amount.Add(by).String())
	})
	return failed
}

// Balances proves from the tables where all usage of an organization, or of
// one entitlement, went. It reads everything and is for checks, not for
// requests. Usage of billable metrics counts as mapped when it is frozen.
func (s *Records) Balances(ctx context.Context, organization, entitlement string) (map[DimensionKey]Balance, error) {
	out := map[DimensionKey]*Balance{}
	// A change, though it changes nothing: nothing else changes meanwhile.
	err := s.db.Write(ctx, "add up the reports", func(tx *sql.Tx) error { return addUp(ctx, tx, organization, entitlement, out) })
	if err != nil {
		return nil, err
	}
	result := map[DimensionKey]Balance{}
	for k, b := range out {
		result[k] = *b
	}
	return result, nil
}

func addUp(ctx context.Context, tx *sql.Tx, organization, entitlement string, out map[DimensionKey]*Balance) error {
	of := func(entitlement, dimension string) *Balance {
		k := DimensionKey{entitlement, dimension}
		if out[k] == nil {
			out[k] = &Balance{}
		}
		return out[k]
	}
	portions, err := List(ctx, tx, scanPortion, stmtRecords.PortionAll, organization, entitlement)
	if err != nil {
		return err
	}
	groups, err := List(ctx, tx, scanRecordGroup, stmtRecords.GroupOfEntitlement, organization, entitlement)
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
		frozen[p.Report] = frozen[p.Report] || p.State == LineFrozen
		addPortion(of(p.Entitlement, p.Dimension), p, claimed[p.Report])
	}
	for i := range groups {
		g := &groups[i]
		for dimension, quantity := range g.Records {
			b := of(g.Entitlement, dimension)
			b.Mapped = b.Mapped.Add(quantity)
			state := states[[2]string{g.Report, dimension}]
			if state == LineMoved && !frozen[g.Report] && g.Status == GroupReportPending {
				state = LineParked // is free when the dimension beside it is resolved
			}
			addPosted(b, g, state, dimension, quantity)
		}
	}
	for id := range entitlements {
		balances, err := List(ctx, tx, scanBalance, stmtRecords.BalanceList, organization, id)
		if err != nil {
			return err
		}
		for _, had := range balances {
			if had.key.Kind == BalanceCarry {
				b := of(id, had.key.Dimension)
				b.Carry = b.Carry.Add(had.amount)
			}
		}
		reads, err := List(ctx, tx, scanRead, stmtRecords.ReadList, organization, id)
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
func (s *Records) Carried(ctx context.Context, organization string) ([]Carried, error) {
	all, err := List(ctx, s.db.Reader(), func(r Row) (Carried, error) {
		var c Carried
		var text string
		err := r.Scan(&c.Entitlement, &c.Dimension, &c.Term, &text)
		if err == nil {
			c.Amount, err = meter.ParseDecimal(text)
		}
		return c, err
	}, stmtRecords.BalanceCarried, organization)
	if err != nil {
		return nil, s.db.Fail(err, "cannot read what is carried")
	}
	return all, nil
}
