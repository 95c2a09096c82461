package store

import (
	"context"
	"database/sql"
	"errors"

	"odometer/internal/meter"
)

// MaxLedgerIDBytes bounds the id of a ledger.
const MaxLedgerIDBytes = 64

// BindLedger makes the catalog that of the ledger with an id, which the
// caller keeps beside the ledger. The first ledger is remembered and every
// other one is KindConflict: each would overwrite the other's copies of meters
// and read its closed periods. From then on a change is refused as KindConflict
// when RebindLedger gave the catalog to another ledger meanwhile. A
// catalog in SQLite lies beside its ledger and is not bound.
func (s *Store) BindLedger(ctx context.Context, id string) error {
	if err := checkLedgerID(id); err != nil || !s.dialect.shared {
		return err
	}
	err := s.Write(ctx, "bind the catalog to its ledger", func(tx *sql.Tx) error {
		bound, err := boundLedger(ctx, tx)
		if err != nil || bound == id {
			return err
		}
		if bound != "" {
			return errOtherLedger(bound, id)
		}
		_, err = tx.ExecContext(ctx, stmt.LedgerSet, id)
		return err
	})
	if err == nil {
		s.ledger.Store(&id)
	}
	return err
}

// RebindLedger gives the catalog to another ledger, such as one restored
// from a backup, and returns the one that it was bound to, "" if none. A
// catalog in SQLite is KindUnsupported.
func (s *Store) RebindLedger(ctx context.Context, id string) (before string, err error) {
	if err := checkLedgerID(id); err != nil {
		return "", err
	}
	if !s.dialect.shared {
		return "", meter.Errorf(meter.KindUnsupported, "a catalog in SQLite belongs to the ledger beside it")
	}
	s.ledger.Store(nil)
	err = s.Write(ctx, "bind the catalog to another ledger", func(tx *sql.Tx) error {
		if before, err = boundLedger(ctx, tx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, stmt.LedgerSet, id)
		return err
	})
	if err != nil {
		return "", err
	}
	s.ledger.Store(&id)
	return before, nil
}

// checkBound refuses a change by a process whose ledger the catalog is no longer that of.
func (s *Store) checkBound(ctx context.Context, tx *sql.Tx) error {
	id := s.ledger.Load()
	if id == nil {
		return nil
	}
	bound, err := boundLedger(ctx, tx)
	if err == nil && bound != *id {
		return errOtherLedger(bound, *id)
	}
	return err
}

func boundLedger(ctx context.Context, q Queryer) (id string, err error) {
	err = q.QueryRowContext(ctx, stmt.LedgerGet).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", meter.Errorf(meter.KindCorrupt, "the catalog is damaged: the table installation is empty")
	}
	return id, err
}

func errOtherLedger(bound, id string) error {
	return meter.Errorf(meter.KindConflict, "the catalog belongs to another ledger: it is bound to %s, this one is %s", bound, id)
}

func checkLedgerID(id string) error {
	if !meter.PlainText(id, MaxLedgerIDBytes) {
		return meter.Errorf(meter.KindInvalid, "a ledger's id is 1 to %d bytes of UTF-8 without control characters", MaxLedgerIDBytes)
	}
	return nil
}
