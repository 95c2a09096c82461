package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// MeterCopy is a meter as the log defined it. The log decides; the copy is
// for listing and for joining with other nouns.
type MeterCopy struct {
	Organization string
	Key          string
	Version      uint32          // the ledger's
	Definition   json.RawMessage // the meter as JSON
	Sequence     uint64          // of the log entry that last changed it; at least 1
}

// MeterCopyPage is a part of an organization's meters, by key.
type MeterCopyPage struct {
	Items []MeterCopy
	Next  string // Page.Cursor of what follows; "" at the end
}

// PutMeter copies a meter that was created or changed in the log. Changes
// come in the log's order: one that is not after MetersSequence is
// KindConflict and changes nothing; ReplaceMeters mends a copy that is behind.
func (s *Store) PutMeter(ctx context.Context, m MeterCopy, actor string) error {
	if err := errors.Join(m.validate(), catalog.CheckActor(actor)); err != nil {
		return err
	}
	return s.Write(ctx, "copy the meter", func(tx *sql.Tx) error {
		if err := advance(ctx, tx, m.Organization, m.Sequence); err != nil {
			return err
		}
		c := Entry{Organization: m.Organization, Actor: actor, Action: catalog.AuditCreate, Noun: "meter", ID: m.Key, After: m.Definition}
		switch before, err := getMeter(ctx, tx, m.Organization, m.Key); {
		case err == nil:
			c.Action, c.Before = catalog.AuditUpdate, before.Definition
		case meter.KindOf(err) != meter.KindNotFound:
			return err
		}
		if err := putMeter(ctx, tx, m); err != nil {
			return err
		}
		return s.Audit(ctx, tx, c)
	})
}

// DeleteMeter removes the copy of a meter that was deleted in the log at the
// given sequence, which is after MetersSequence or else KindConflict. A meter
// that is not there is KindNotFound.
func (s *Store) DeleteMeter(ctx context.Context, organization, key string, sequence uint64, actor string) error {
	if err := errors.Join(checkSequence(sequence), catalog.CheckActor(actor)); err != nil {
		return err
	}
	return s.Write(ctx, "remove the meter", func(tx *sql.Tx) error {
		if err := advance(ctx, tx, organization, sequence); err != nil {
			return err
		}
		before, err := getMeter(ctx, tx, organization, key)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.MeterDelete, organization, key); err != nil {
			return err
		}
		return s.Audit(ctx, tx, Entry{Organization: organization, Actor: actor, Action: catalog.AuditDelete, Noun: "meter", ID: key, Before: before.Definition})
	})
}

// ReplaceMeters makes the copy what the log says as of sequence, whatever it
// was, in one step. It is no change of a meter and leaves no audit entry; it
// is for starting after a crash or a restore, and for mending a copy that
// PutMeter found behind. The caller keeps it apart from other changes of the
// organization's meters.
func (s *Store) ReplaceMeters(ctx context.Context, organization string, meters []MeterCopy, sequence uint64) error {
	if sequence > math.MaxInt64 {
		return checkSequence(sequence)
	}
	for _, m := range meters {
		if err := m.validate(); err != nil {
			return err
		}
		if m.Organization != organization || m.Sequence > sequence {
			return meter.Errorf(meter.KindInvalid, "meter %q is not one of organization %q at sequence %d", m.Key, organization, sequence)
		}
	}
	return s.Write(ctx, "replace the copy of the meters", func(tx *sql.Tx) error {
		if _, err := GetOrganization(ctx, tx, organization); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.MeterClear, organization); err != nil {
			return err
		}
		for _, m := range meters {
			if err := putMeter(ctx, tx, m); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, stmt.MetersSequenceSet, organization, int64(sequence))
		return err
	})
}

// MetersSequence returns the log sequence as of which the copy is; 0 if
// nothing was copied yet. An unknown organization is KindNotFound.
func (s *Store) MetersSequence(ctx context.Context, organization string) (uint64, error) {
	sequence, err := metersSequence(ctx, s.reader, organization)
	if err != nil {
		return 0, s.Fail(err, "cannot read the organization")
	}
	return sequence, nil
}

// Meter returns the copy of one meter, or KindNotFound.
func (s *Store) Meter(ctx context.Context, organization, key string) (MeterCopy, error) {
	m, err := getMeter(ctx, s.reader, organization, key)
	if err != nil {
		return MeterCopy{}, s.Fail(err, "cannot read the meter")
	}
	return m, nil
}

// Meters lists the copies of an organization's meters by key. An unknown
// organization has none.
func (s *Store) Meters(ctx context.Context, organization string, p catalog.Page) (MeterCopyPage, error) {
	limit, err := p.Bound(s.limits.PageSize)
	if err != nil {
		return MeterCopyPage{}, err
	}
	items, err := List(ctx, s.reader, scanMeter, stmt.MeterList, organization, p.Cursor, limit+1)
	if err != nil {
		return MeterCopyPage{}, s.Fail(err, "cannot list meters")
	}
	var page MeterCopyPage
	page.Items, page.Next = catalog.Cut(items, limit, func(m MeterCopy) string { return m.Key })
	return page, nil
}

func (m MeterCopy) validate() error {
	if m.Key == "" || !json.Valid(m.Definition) {
		return meter.Errorf(meter.KindInvalid, "the copy of a meter needs a key and its definition as JSON")
	}
	return checkSequence(m.Sequence)
}

func checkSequence(sequence uint64) error {
	if sequence == 0 || sequence > math.MaxInt64 {
		return meter.Errorf(meter.KindInvalid, "a sequence is between 1 and %d", int64(math.MaxInt64))
	}
	return nil
}

// advance moves the organization's applied sequence forward, never back.
func advance(ctx context.Context, tx *sql.Tx, organization string, sequence uint64) error {
	have, err := metersSequence(ctx, tx, organization)
	if err != nil {
		return err
	}
	if sequence <= have {
		return meter.Errorf(meter.KindConflict, "the copy of the meters is as of sequence %d, the change is of %d", have, sequence)
	}
	_, err = tx.ExecContext(ctx, stmt.MetersSequenceSet, organization, int64(sequence))
	return err
}

func metersSequence(ctx context.Context, q Queryer, organization string) (uint64, error) {
	var sequence int64
	err := q.QueryRowContext(ctx, stmt.MetersSequence, organization).Scan(&sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, meter.Errorf(meter.KindNotFound, "no organization %q", organization)
	}
	return uint64(sequence), err
}

func putMeter(ctx context.Context, tx *sql.Tx, m MeterCopy) error {
	_, err := tx.ExecContext(ctx, stmt.MeterPut, m.Organization, m.Key, int64(m.Version), string(m.Definition), int64(m.Sequence))
	return err
}

func getMeter(ctx context.Context, q Queryer, organization, key string) (MeterCopy, error) {
	m, err := scanMeter(q.QueryRowContext(ctx, stmt.MeterGet, organization, key))
	if errors.Is(err, sql.ErrNoRows) {
		return m, meter.Errorf(meter.KindNotFound, "no meter %q", key)
	}
	return m, err
}

func scanMeter(r Row) (MeterCopy, error) {
	var m MeterCopy
	var definition string
	var sequence int64
	err := r.Scan(&m.Organization, &m.Key, &m.Version, &definition, &sequence)
	m.Definition, m.Sequence = json.RawMessage(definition), uint64(sequence)
	return m, err
}
