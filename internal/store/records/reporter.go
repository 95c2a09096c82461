package records

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/store"
)

// Reporter returns the state of an organization's reporter.
func (s *Store) Reporter(ctx context.Context, organization string) (billing.ReporterState, error) {
	var r billing.ReporterState
	var restored sql.NullInt64
	err := s.db.Reader().QueryRowContext(ctx, stmt.ReporterGet, organization).Scan(&r.Paused, &restored, &r.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return billing.ReporterState{}, nil
	}
	if err != nil {
		return billing.ReporterState{}, s.db.Fail(err, "cannot read the reporter's state")
	}
	if restored.Int64 != 0 {
		r.Restored = store.FromMicros(restored)
	}
	return r, nil
}

// ReporterStandings tells of the reporters of all organizations, with usage
// before an instant that no report has claimed. It is one statement, however
// many organizations there are.
func (s *Store) ReporterStandings(ctx context.Context, before time.Time) ([]billing.ReporterStanding, error) {
	all, err := store.List(ctx, s.db.Reader(), func(r store.Row) (billing.ReporterStanding, error) {
		var one billing.ReporterStanding
		var oldest sql.NullInt64
		err := r.Scan(&one.Organization, &one.Paused, &one.Groups, &oldest)
		one.Oldest = store.FromMicros(oldest)
		return one, err
	}, stmt.ReporterStandings, store.Micros(before))
	if err != nil {
		return nil, s.db.Fail(err, "cannot read the reporters' states")
	}
	return all, nil
}

// SetReporter changes the state of an organization's reporter.
func (s *Store) SetReporter(ctx context.Context, organization string, r billing.ReporterState, actor string) error {
	if err := catalog.CheckActor(actor); err != nil {
		return err
	}
	return s.db.Write(ctx, "change the reporter's state", func(tx *sql.Tx) error {
		var restored int64
		if !r.Restored.IsZero() {
			restored = r.Restored.UnixMicro()
		}
		if _, err := tx.ExecContext(ctx, stmt.ReporterPut, organization, flag(r.Paused), restored, r.Reason); err != nil {
			return err
		}
		return s.db.Audit(ctx, tx, store.Entry{Organization: organization, Actor: actor, Action: catalog.AuditUpdate, Noun: "reporter", ID: organization, After: r})
	})
}

// PauseReporters pauses the reporters of all organizations: the catalog was
// restored, and what was reported since the backup is not known here.
func (s *Store) PauseReporters(ctx context.Context, reason string) error {
	return s.db.Write(ctx, "pause the reporters", func(tx *sql.Tx) error {
		all, err := store.AllOrganizations(ctx, tx)
		if err != nil {
			return err
		}
		for _, o := range all {
			if _, err := tx.ExecContext(ctx, stmt.ReporterPut, o.ID, 1, store.Micros(s.db.Now()), reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitingGroups tells of usage before an instant that no report has claimed, by entitlement.
func (s *Store) WaitingGroups(ctx context.Context, organization string, before time.Time) ([]billing.Waiting, error) {
	all, err := store.List(ctx, s.db.Reader(), func(r store.Row) (billing.Waiting, error) {
		var w billing.Waiting
		var oldest sql.NullInt64
		err := r.Scan(&w.Entitlement, &w.Groups, &oldest)
		w.Oldest = store.FromMicros(oldest)
		return w, err
	}, stmt.GroupWaiting, organization, store.Micros(before))
	if err != nil {
		return nil, s.db.Fail(err, "cannot list what is to be reported")
	}
	return all, nil
}
