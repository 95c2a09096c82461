package edgegrid

import (
	"cmp"
	"context"
	"crypto/subtle"
	"time"
)

// Refusal is why a request was not let in. It is an error.
type Refusal uint8

// The refusals, in the order in which they are looked for.
const (
	BadHeader      Refusal = iota + 1 // absent, repeated, too long or malformed
	BadTimestamp                      // malformed, or too far from the clock
	inactiveClient                    // nobody has this client token
	wrongSignature                    // the signature, or whose access token it is
	nonceUsed                         // seen from this client within the window
	TooManyNonces                     // more requests than the window may hold; later ones are served again
)

// Error says what is wrong, in words that the caller may read.
func (r Refusal) Error() string {
	switch r {
	case BadHeader:
		return "Invalid authorization header"
	case BadTimestamp:
		return "Invalid timestamp"
	case inactiveClient:
		return "Inactive client token"
	case nonceUsed:
		return "Nonce already used"
	case TooManyNonces:
		return "Too many requests"
	default:
		return "The signature does not match"
	}
}

// Limits bounds what a Verifier takes in and remembers. The zero value of a
// field means its default.
type Limits struct {
	HeaderBytes     int           // of the Authorization header
	Skew            time.Duration // between the clock and a timestamp, either way
	Nonces          int           // remembered at once, for 2*Skew each
	NoncesPerClient int
}

// defaultLimits returns the defaults. Skew is the vendor's.
func defaultLimits() Limits {
	return Limits{HeaderBytes: 1024, Skew: 30 * time.Second, Nonces: 1_000_000, NoncesPerClient: 500_000}
}

func (l Limits) withDefaults() Limits {
	d := defaultLimits()
	l.HeaderBytes = cmp.Or(l.HeaderBytes, d.HeaderBytes)
	l.Skew = cmp.Or(l.Skew, d.Skew)
	l.Nonces = cmp.Or(l.Nonces, d.Nonces)
	l.NoncesPerClient = cmp.Or(l.NoncesPerClient, d.NoncesPerClient)
	return l
}

// Credential is what is known of one client token. Owner is whatever the
// caller wants to get back.
type Credential[T any] struct {
	AccessToken string
	Secret      string
	Owner       T
}

// Lookup finds the credential of a client token. ok is false where nobody has
// it, or may use it no more; an error is one of the store.
type Lookup[T any] func(ctx context.Context, clientToken string) (c Credential[T], ok bool, err error)

// Verifier lets signed requests in, each once. Its methods may be called from
// many goroutines.
type Verifier[T any] struct {
	lookup Lookup[T]
	now    func() time.Time
	limits Limits
	nonces *nonces
}

// NewVerifier returns a Verifier over credentials and a clock. It remembers
// nonces in journal too, so that they survive it; nil = they do not.
func NewVerifier[T any](lookup Lookup[T], clock func() time.Time, limits Limits, journal *Journal) *Verifier[T] {
	limits = limits.withDefaults()
	return &Verifier[T]{lookup: lookup, now: clock, limits: limits, nonces: newNonces(2*limits.Skew, limits.Nonces, limits.NoncesPerClient, journal)}
}

// decoy is the secret of a client that does not exist: finding that out takes
// as long as finding a signature wrong.
const decoy = "bm8gY2xpZW50IGhhcyB0aGlzIHNlY3JldCBhdCBhbGw="

// Verify returns the owner of the credential that signed r. authorization is
// all values of that header. Errors are a Refusal, or the lookup's own.
func (v *Verifier[T]) Verify(ctx context.Context, authorization []string, r Request) (owner T, err error) {
	var nobody T
	if len(authorization) != 1 || len(authorization[0]) > v.limits.HeaderBytes {
		return nobody, BadHeader
	}
	h, ok := parse(authorization[0])
	if !ok {
		return nobody, BadHeader
	}
	now := v.now()
	if t, ok := parseTimestamp(h.timestamp); !ok || now.Sub(t).Abs() > v.limits.Skew {
		return nobody, BadTimestamp
	}
	c, known, err := v.lookup(ctx, h.client)
	if err != nil {
		return nobody, err
	}
	if !known {
		c = Credential[T]{AccessToken: h.access, Secret: decoy}
	}
	signed := 0
	for _, form := range forms(r) { // all of them, so that the time tells nothing
		signed |= equal(h.signature, signature(c.Secret, h.timestamp, h.prefix, form))
	}
	mine := equal(h.access, c.AccessToken)
	if !known {
		return nobody, inactiveClient
	}
	if signed&mine != 1 {
		return nobody, wrongSignature
	}
	if err := v.nonces.use(h.client, h.nonce, now); err != nil {
		return nobody, err
	}
	return c.Owner, nil
}

// equal takes as long wherever the texts differ.
func equal(a, b string) int { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) }
