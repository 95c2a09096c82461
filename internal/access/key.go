package access

import "time"

// MaxCustomerBytes bounds the customer that a key is bound to.
const MaxCustomerBytes = 256

// KeyKind is how a key proves itself.
type KeyKind string

// The kinds of keys.
const (
	KindToken    KeyKind = "token"    // a bearer token
	KindEdgeGrid KeyKind = "edgegrid" // a Credential that signs requests
)

// Key is a right to act in one organization. It holds nothing secret.
type Key struct {
	ID           string    `json:"id"`
	Organization string    `json:"organization"`
	Role         Role      `json:"role"`
	Kind         KeyKind   `json:"kind"`
	Customer     string    `json:"customer,omitempty"`             // the one customer it sees; "" = all
	Operator     bool      `json:"operator,omitempty"`             // may create organizations and act on any
	Accounts     Accounts  `json:"accounts,omitempty"`             // that it may switch to; of KindEdgeGrid
	DefaultAID   string    `json:"default_aid,omitempty"`          // account group of a request that names none; of KindToken
	Sources      Sources   `json:"sources,omitempty"`              // how the sources of its events begin; none = any
	Unrestricted bool      `json:"unrestricted_sources,omitempty"` // sends a customer's events, of any source
	Strict       bool      `json:"strict,omitempty"`               // any event that is refused makes its answer an error
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires,omitzero"`   // zero = never; not valid at this instant or after
	Revoked      time.Time `json:"revoked,omitzero"`   // zero = not revoked
	LastUsed     time.Time `json:"last_used,omitzero"` // to LastUsedGrain; AuthenticateKey does not keep it current
}

// Allows says whether the key's role may do the action.
func (k Key) Allows(a Action) bool { return k.Role.Allows(a) }

// NewKey is what a caller says of a key to create. What could do nothing
// beside the rest is refused: see Idle.
type NewKey struct {
	Organization string
	Role         Role
	Kind         KeyKind   // "" = KindToken
	Customer     string    // binds it to one customer; "" = all. An admin key cannot be bound
	Operator     bool      // admin keys only
	Accounts     []string  // account ids that it may switch to
	DefaultAID   string    // account group of a request that names none
	Sources      []string  // how the sources of its events begin; none = any. Only of an ingest key that is bound
	Strict       bool      // any event that is refused makes its answer an error
	Expires      time.Time // zero = never
}

// Expired says whether the key is not valid any more.
func (k Key) Expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }
