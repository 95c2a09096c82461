package billing

import (
	"odometer/internal/meter"
	"time"
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

// Validate refuses a key that cannot be kept.
func (i Idempotency) Validate() error {
	if i == (Idempotency{}) || i.Scope != "" && i.Request != "" && meter.PlainText(i.Key, MaxIdempotencyKeyBytes) {
		return nil
	}
	return meter.Errorf(meter.KindInvalid, "an idempotency key is 1 to %d bytes of UTF-8 without control characters", MaxIdempotencyKeyBytes)
}
