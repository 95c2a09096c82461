package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// repeated reads into answer what was kept for the key; false if nothing was.
func (s *Records) repeated(ctx context.Context, tx *sql.Tx, organization string, i Idempotency, answer any) (bool, error) {
	if i.Key == "" {
		return false, nil
	}
	var request, text string
	oldest := Micros(s.db.Now().Add(-IdempotencyRetention))
	err := tx.QueryRowContext(ctx, stmtRecords.IdempotencyGet, organization, scopeOfKey(i), i.Key, oldest).Scan(&request, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case request != i.Request:
		return false, ErrKeyReused
	}
	return true, json.Unmarshal([]byte(text), answer)
}

// keep keeps an answer for the key, and forgets those that are too old.
func (s *Records) keep(ctx context.Context, tx *sql.Tx, organization string, i Idempotency, answer any) error {
	if i.Key == "" {
		return nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	now := s.db.Now()
	if _, err := tx.ExecContext(ctx, stmtRecords.IdempotencyClean, Micros(now.Add(-IdempotencyRetention))); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmtRecords.IdempotencyPut, organization, scopeOfKey(i), i.Key, i.Request, string(text), Micros(now))
	return err
}

// scopeOfKey is what the keys of the caller are kept under.
func scopeOfKey(i Idempotency) string {
	if i.Customer == "" {
		return i.Scope
	}
	return i.Scope + "/" + i.Customer
}
