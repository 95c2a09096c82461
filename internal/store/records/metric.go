package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// CreateBillableMetric notes a metric whose meter is created next; an id that
// is a metric's already is KindConflict. It leaves no audit entry: that of its
// meter tells of it.
func (s *Store) CreateBillableMetric(ctx context.Context, organization string, m billing.BillableMetric) (billing.BillableMetric, error) {
	if !meter.PlainText(m.ID, billing.MaxMetricIDBytes) || !json.Valid(m.Definition) || !json.Valid(m.Info) {
		return billing.BillableMetric{}, meter.Errorf(meter.KindInvalid, "the id of a billable metric is 1 to %d bytes of UTF-8 without control characters", billing.MaxMetricIDBytes)
	}
	m.Created = s.db.Now()
	m.Updated = m.Created
	err := s.db.Write(ctx, "create the billable metric", func(tx *sql.Tx) error {
		if _, err := store.GetOrganization(ctx, tx, organization); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, stmt.BillableMetricCreate, organization, m.ID, string(m.Definition), string(m.Info), store.Micros(m.Created))
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, meter.Errorf(meter.KindConflict, "there is a billable metric %q already", meter.Clip(m.ID)))
		}
		return nil
	})
	return m, err
}

// MetricInUse says whether a group that is not reported has records of a metric.
func (s *Store) MetricInUse(ctx context.Context, organization, id string) (bool, error) {
	name, err := json.Marshal(id)
	if err != nil {
		return false, err
	}
	var n int
	// As BillableRecord is stored; a wildcard in the id finds too much at worst.
	if err := s.db.Reader().QueryRowContext(ctx, stmt.BillableMetricWaiting, organization, `%"metric":`+string(name)+`%`).Scan(&n); err != nil {
		return false, s.db.Fail(err, "cannot read the usage of the billable metric")
	}
	return n > 0, nil
}

// DropBillableMetric forgets a metric: its meter could not be created, or goes.
func (s *Store) DropBillableMetric(ctx context.Context, organization, id string) error {
	return s.db.Write(ctx, "drop the billable metric", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.BillableMetricDelete, organization, id)
		return err
	})
}

// TouchBillableMetric notes that the metric's meter was changed now. An id
// that is no metric's is left alone.
func (s *Store) TouchBillableMetric(ctx context.Context, organization, id string) error {
	return s.db.Write(ctx, "change the billable metric", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.BillableMetricTouch, organization, id, store.Micros(s.db.Now()))
		return err
	})
}

// BillableMetric returns one metric, or KindNotFound.
func (s *Store) BillableMetric(ctx context.Context, organization, id string) (billing.BillableMetric, error) {
	m, err := scanBillableMetric(s.db.Reader().QueryRowContext(ctx, stmt.BillableMetricGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return billing.BillableMetric{}, meter.Errorf(meter.KindNotFound, "no billable metric %q", meter.Clip(id))
	}
	if err != nil {
		return billing.BillableMetric{}, s.db.Fail(err, "cannot read the billable metric")
	}
	return m, nil
}

// BillableMetrics returns an organization's metrics, the oldest first. They
// are as many as its meters at most.
func (s *Store) BillableMetrics(ctx context.Context, organization string) ([]billing.BillableMetric, error) {
	all, err := store.List(ctx, s.db.Reader(), scanBillableMetric, stmt.BillableMetricList, organization)
	if err != nil {
		return nil, s.db.Fail(err, "cannot list billable metrics")
	}
	return all, nil
}

func scanBillableMetric(r store.Row) (billing.BillableMetric, error) {
	var m billing.BillableMetric
	var definition, info string
	var created, updated sql.NullInt64
	err := r.Scan(&m.ID, &definition, &info, &created, &updated)
	m.Definition, m.Info = json.RawMessage(definition), json.RawMessage(info)
	m.Created, m.Updated = store.FromMicros(created), store.FromMicros(updated)
	return m, err
}
