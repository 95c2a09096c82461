package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"odometer/internal/billing"
	"odometer/internal/store"
)

// repeated reads into answer what was kept for the key; false if nothing was.
func (s *Store) repeated(ctx context.Context, tx *sql.Tx, organization string, i billing.Idempotency, answer any) (bool, error) {
	if i.Key == "" {
		return false, nil
	}
	var request, text string
	oldest := store.Micros(s.db.Now().Add(-billing.IdempotencyRetention))
	err := tx.QueryRowContext(ctx, stmt.IdempotencyGet, organization, scopeOfKey(i), i.Key, oldest).Scan(&request, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case request != i.Request:
		return false, billing.ErrKeyReused
	}
	return true, json.Unmarshal([]byte(text), answer)
}

// keep keeps an answer for the key, and forgets those that are too old.
func (s *Store) keep(ctx context.Context, tx *sql.Tx, organization string, i billing.Idempotency, answer any) error {
	if i.Key == "" {
		return nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	now := s.db.Now()
	if _, err := tx.ExecContext(ctx, stmt.IdempotencyClean, store.Micros(now.Add(-billing.IdempotencyRetention))); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmt.IdempotencyPut, organization, scopeOfKey(i), i.Key, i.Request, string(text), store.Micros(now))
	return err
}

// scopeOfKey is what the keys of the caller are kept under.
func scopeOfKey(i billing.Idempotency) string {
	if i.Customer == "" {
		return i.Scope
	}
	return i.Scope + "/" + i.Customer
}
