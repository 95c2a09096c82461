package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"odometer/internal/meter"
)

const (
	// IdempotencyRetention is how long the answer to a request with an idempotency key is kept.
	IdempotencyRetention = 7 * 24 * time.Hour
	// MaxIdempotencyKeyBytes bounds an idempotency key.
	MaxIdempotencyKeyBytes = 255
)

// ErrKeyReused says that an idempotency key was used for another request.
var ErrKeyReused error = meter.Errorf(meter.KindConflict, "the idempotency key was used for another request")

// Idempotency makes a change that is asked for again happen once. The zero
// value asks for nothing.
type Idempotency struct {
	Scope    string // the operation: keys of different ones have nothing to do with each other
	Customer string // the one that the caller is bound to, and so are its keys; "" = none
	Key      string // the caller's, of at most MaxIdempotencyKeyBytes
	Request  string // a hash of what is asked for; another one under the same key is KindConflict
}

// scope is what the keys of the caller are kept under.
func (i Idempotency) scope() string {
	if i.Customer == "" {
		return i.Scope
	}
	return i.Scope + "/" + i.Customer
}

func (i Idempotency) validate() error {
	if i == (Idempotency{}) || i.Scope != "" && i.Request != "" && validText(i.Key, MaxIdempotencyKeyBytes) {
		return nil
	}
	return meter.Errorf(meter.KindInvalid, "an idempotency key is 1 to %d bytes of UTF-8 without control characters", MaxIdempotencyKeyBytes)
}

// repeated reads into answer what was kept for the key; false if nothing was.
func (s *Store) repeated(ctx context.Context, tx *sql.Tx, organization string, i Idempotency, answer any) (bool, error) {
	if i.Key == "" {
		return false, nil
	}
	var request, text string
	oldest := micros(s.now().Add(-IdempotencyRetention))
	err := tx.QueryRowContext(ctx, stmtRecords.IdempotencyGet, organization, i.scope(), i.Key, oldest).Scan(&request, &text)
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
func (s *Store) keep(ctx context.Context, tx *sql.Tx, organization string, i Idempotency, answer any) error {
	if i.Key == "" {
		return nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	now := s.now()
	if _, err := tx.ExecContext(ctx, stmtRecords.IdempotencyClean, micros(now.Add(-IdempotencyRetention))); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmtRecords.IdempotencyPut, organization, i.scope(), i.Key, i.Request, string(text), micros(now))
	return err
}
