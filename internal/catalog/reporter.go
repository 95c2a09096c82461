package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Reporter returns the state of an organization's reporter.
func (s *Records) Reporter(ctx context.Context, organization string) (ReporterState, error) {
	var r ReporterState
	var restored sql.NullInt64
	err := s.db.Reader().QueryRowContext(ctx, stmtRecords.ReporterGet, organization).Scan(&r.Paused, &restored, &r.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return ReporterState{}, nil
	}
	if err != nil {
		return ReporterState{}, s.db.Fail(err, "cannot read the reporter's state")
	}
	if restored.Int64 != 0 {
		r.Restored = FromMicros(restored)
	}
	return r, nil
}

// SetReporter changes the state of an organization's reporter.
func (s *Records) SetReporter(ctx context.Context, organization string, r ReporterState, actor string) error {
	if err := CheckActor(actor); err != nil {
		return err
	}
	return s.db.Write(ctx, "change the reporter's state", func(tx *sql.Tx) error {
		var restored int64
		if !r.Restored.IsZero() {
			restored = r.Restored.UnixMicro()
		}
		if _, err := tx.ExecContext(ctx, stmtRecords.ReporterPut, organization, flag(r.Paused), restored, r.Reason); err != nil {
			return err
		}
		return s.db.Audit(ctx, tx, Entry{Organization: organization, Actor: actor, Action: AuditUpdate, Noun: "reporter", ID: organization, After: r})
	})
}

// PauseReporters pauses the reporters of all organizations: the catalogue was
// restored, and what was reported since the backup is not known here.
func (s *Records) PauseReporters(ctx context.Context, reason string) error {
	return s.db.Write(ctx, "pause the reporters", func(tx *sql.Tx) error {
		all, err := AllOrganizations(ctx, tx)
		if err != nil {
			return err
		}
		for _, o := range all {
			if _, err := tx.ExecContext(ctx, stmtRecords.ReporterPut, o.ID, 1, Micros(s.db.Now()), reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitingGroups tells of usage before an instant that no report has claimed, by entitlement.
func (s *Records) WaitingGroups(ctx context.Context, organization string, before time.Time) ([]Waiting, error) {
	all, err := List(ctx, s.db.Reader(), func(r Row) (Waiting, error) {
		var w Waiting
		var oldest sql.NullInt64
		err := r.Scan(&w.Entitlement, &w.Groups, &oldest)
		w.Oldest = FromMicros(oldest)
		return w, err
	}, stmtRecords.GroupWaiting, organization, Micros(before))
	if err != nil {
		return nil, s.db.Fail(err, "cannot list what is to be reported")
	}
	return all, nil
}
