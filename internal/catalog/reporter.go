package catalog

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"odometer/internal/meter"
)

// ReporterState says whether an organization's reporter may work.
type ReporterState struct {
	Paused   bool
	Restored time.Time // reports before it may be missing here: the catalogue was restored from a backup
	Reason   string
}

// Reporter returns the state of an organization's reporter.
func (s *Store) Reporter(ctx context.Context, organization string) (ReporterState, error) {
	var r ReporterState
	var restored sql.NullInt64
	err := s.reader.QueryRowContext(ctx, stmtRecords.ReporterGet, organization).Scan(&r.Paused, &restored, &r.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return ReporterState{}, nil
	}
	if err != nil {
		return ReporterState{}, s.fail(err, "cannot read the reporter's state")
	}
	if restored.Int64 != 0 {
		r.Restored = fromMicros(restored)
	}
	return r, nil
}

// SetReporter changes the state of an organization's reporter.
func (s *Store) SetReporter(ctx context.Context, organization string, r ReporterState, actor string) error {
	if err := checkActor(actor); err != nil {
		return err
	}
	return s.write(ctx, "change the reporter's state", func(tx *sql.Tx) error {
		var restored int64
		if !r.Restored.IsZero() {
			restored = r.Restored.UnixMicro()
		}
		if _, err := tx.ExecContext(ctx, stmtRecords.ReporterPut, organization, flag(r.Paused), restored, r.Reason); err != nil {
			return err
		}
		return s.audit(ctx, tx, change{organization: organization, actor: actor, action: AuditUpdate, noun: "reporter", id: organization, after: r})
	})
}

// PauseReporters pauses the reporters of all organizations: the catalogue was
// restored, and what was reported since the backup is not known here.
func (s *Store) PauseReporters(ctx context.Context, reason string) error {
	return s.write(ctx, "pause the reporters", func(tx *sql.Tx) error {
		all, err := list(ctx, tx, scanOrganization, stmt.OrganizationList, "", maxInt)
		if err != nil {
			return err
		}
		for _, o := range all {
			if _, err := tx.ExecContext(ctx, stmtRecords.ReporterPut, o.ID, 1, micros(s.now()), reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// Waiting is unreported usage of one entitlement.
type Waiting struct {
	Entitlement string
	Groups      int
	Oldest      time.Time // usage
	Reason      string    // what keeps it from being reported; "" = nothing, or nothing that is known
}

// WaitingGroups tells of usage before an instant that no report has claimed, by entitlement.
func (s *Store) WaitingGroups(ctx context.Context, organization string, before time.Time) ([]Waiting, error) {
	all, err := list(ctx, s.reader, func(r row) (Waiting, error) {
		var w Waiting
		var oldest sql.NullInt64
		err := r.Scan(&w.Entitlement, &w.Groups, &oldest)
		w.Oldest = fromMicros(oldest)
		return w, err
	}, stmtRecords.GroupWaiting, organization, micros(before))
	if err != nil {
		return nil, s.fail(err, "cannot list what is to be reported")
	}
	return all, nil
}

// Balance is the whole account of what an entitlement's dimension was used,
// summed over everything ever accepted:
// Settled + Carry + Pending + Failed + Parked + Absorbed = Mapped.
type Balance struct {
	Settled  meter.Decimal `json:"settled"`  // accepted, before list-price adjustment
	Carry    meter.Decimal `json:"carry"`    // of all terms
	Pending  meter.Decimal `json:"pending"`  // frozen, or claimed by nothing yet
	Failed   meter.Decimal `json:"failed"`   // refused
	Parked   meter.Decimal `json:"parked"`   // waits for a person
	Absorbed meter.Decimal `json:"absorbed"` // by credit, commit and included, settled
	Mapped   meter.Decimal `json:"mapped"`   // usage after mapping, from groups and meters
	Sent     meter.Decimal `json:"sent"`     // what marketplaces hold
}

// Holds says whether the parts make the whole, to the last digit.
func (b Balance) Holds() bool {
	return b.Settled.Add(b.Carry).Add(b.Pending).Add(b.Failed).Add(b.Parked).Add(b.Absorbed).Cmp(b.Mapped) == 0
}

// DimensionKey names a dimension of an entitlement.
type DimensionKey struct{ Entitlement, Dimension string }

// Balances proves from the tables where all usage of an organization, or of
// one entitlement, went. It reads everything and is for checks, not for
// requests. Usage of billable metrics counts as mapped when it is frozen.
func (s *Store) Balances(ctx context.Context, organization, entitlement string) (map[DimensionKey]Balance, error) {
	out := map[DimensionKey]*Balance{}
	// A change, though it changes nothing: nothing else changes meanwhile.
	err := s.write(ctx, "add up the reports", func(tx *sql.Tx) error { return addUp(ctx, tx, organization, entitlement, out) })
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
	portions, err := list(ctx, tx, scanPortion, stmtRecords.PortionAll, organization, entitlement)
	if err != nil {
		return err
	}
	groups, err := list(ctx, tx, scanRecordGroup, stmtRecords.GroupOfEntitlement, organization, entitlement)
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
		of(p.Entitlement, p.Dimension).addPortion(p, claimed[p.Report])
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
			b.addPosted(g, state, dimension, quantity)
		}
	}
	for id := range entitlements {
		balances, err := list(ctx, tx, scanBalance, stmtRecords.BalanceList, organization, id)
		if err != nil {
			return err
		}
		for _, had := range balances {
			if had.key.Kind == BalanceCarry {
				b := of(id, had.key.Dimension)
				b.Carry = b.Carry.Add(had.amount)
			}
		}
		reads, err := list(ctx, tx, scanRead, stmtRecords.ReadList, organization, id)
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

// addPortion adds what a portion says: all of one that is settled, and of
// others what no group tells of.
func (b *Balance) addPortion(p *Portion, claimed bool) {
	other := p.Metered.Add(p.Billable).Add(p.TakenAmount())
	if p.State != LineMoved {
		b.Mapped = b.Mapped.Add(p.Billable)
	}
	switch p.State {
	case LineSettled:
		b.Sent = b.Sent.Add(p.Sent)
		b.Settled = b.Settled.Add(p.Sent).Add(p.Elsewhere).Sub(p.Adjusted).Add(p.Left)
		b.Absorbed = b.Absorbed.Add(p.Credit).Add(p.Commit).Add(p.Included)
	case LineFrozen:
		b.Pending = b.Pending.Add(other)
	case LineParked:
		b.Parked = b.Parked.Add(other)
	case LineRefused:
		if !p.Billable.IsZero() && !claimed { // retried: counted again where it is now
			b.Mapped = b.Mapped.Sub(p.Billable)
			other = other.Sub(p.Billable)
		}
		b.Failed = b.Failed.Add(other)
	}
}

// addPosted adds the posted usage of one dimension of a group.
func (b *Balance) addPosted(g *RecordGroup, state, dimension string, quantity meter.Decimal) {
	switch {
	case slices.Contains(g.Settled, dimension) || state == LineSettled: // in a settled portion
	case g.Status == GroupReportFailed || state == LineRefused:
		b.Failed = b.Failed.Add(quantity)
	case state == LineParked:
		b.Parked = b.Parked.Add(quantity)
	default:
		b.Pending = b.Pending.Add(quantity)
	}
}
