package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"odometer/internal/meter"
)

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

// KeyPage is a part of an organization's keys, the oldest first.
type KeyPage struct {
	Items []Key
	Next  string // Page.Cursor of what follows; "" at the end
}

// CreateKey adds a bearer token's key and returns it with its token, which is
// not stored and cannot be had again. Whether the actor may hand out the operator right is
// the caller's to judge.
func (s *Store) CreateKey(ctx context.Context, n NewKey, actor string) (Key, string, error) {
	return s.createKey(ctx, n, actor, s.limits)
}

// MintAdminKey adds an admin key to an organization whose keys are lost, also
// where there are as many keys as may be. In the default organization it
// holds the operator right. It is for a data directory at rest.
func (s *Store) MintAdminKey(ctx context.Context, organization, actor string) (Key, string, error) {
	unlimited := Limits{KeysPerOrganization: maxInt, Keys: maxInt}
	n := NewKey{Organization: organization, Role: RoleAdmin, Operator: organization == DefaultOrganization}
	return s.createKey(ctx, n, actor, unlimited)
}

const maxInt = int(^uint(0) >> 1)

func (s *Store) createKey(ctx context.Context, n NewKey, actor string, limits Limits) (Key, string, error) {
	if n.Kind == "" {
		n.Kind = KindToken
	}
	if n.Kind != KindToken {
		return Key{}, "", meter.Errorf(meter.KindInvalid, "kind must be token")
	}
	fresh, err := s.draftKey(n)
	if err := errors.Join(err, checkActor(actor)); err != nil {
		return Key{}, "", err
	}
	if err := s.storeKey(ctx, fresh, actor, limits); err != nil {
		return Key{}, "", err
	}
	return fresh.held.key, fresh.token, nil
}

// storeKey adds a drafted key, within limits.
func (s *Store) storeKey(ctx context.Context, fresh draft, actor string, limits Limits) error {
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	organization := fresh.held.key.Organization
	err := s.write(ctx, "create the key", func(tx *sql.Tx) error {
		if _, err := getOrganization(ctx, tx, organization); err != nil {
			return err
		}
		var have int
		if err := tx.QueryRowContext(ctx, stmtKeys.KeyCount, organization).Scan(&have); err != nil {
			return err
		}
		if have >= limits.KeysPerOrganization {
			return meter.Errorf(meter.KindTooLarge, "the organization has %d keys, the limit; revoke those that are no longer used", have)
		}
		if err := checkSources(ctx, tx, fresh.held.key); err != nil {
			return err
		}
		if s.ring.size() >= limits.Keys {
			return meter.Errorf(meter.KindTooLarge, "there are %d keys, the limit of this installation", limits.Keys)
		}
		return s.insertKey(ctx, tx, fresh, actor)
	})
	if err != nil {
		return err
	}
	s.ring.add(fresh.held)
	return nil
}

// draft is a key that is not stored yet.
type draft struct {
	held   *ringKey
	token  string // of KindToken
	sealed []byte // secret of KindEdgeGrid
}

// draftKey checks n and gives it an id and a secret.
func (s *Store) draftKey(n NewKey) (draft, error) {
	now := s.now()
	accounts, err := NewAccounts(n.Accounts...)
	if err != nil {
		return draft{}, err
	}
	sources, err := NewSources(n.Sources...)
	if err != nil {
		return draft{}, err
	}
	k := Key{
		Accounts: accounts, DefaultAID: n.DefaultAID, Sources: sources, Strict: n.Strict,
		ID: randomText(keyIDBytes), Organization: n.Organization, Role: n.Role, Kind: n.Kind, Customer: n.Customer,
		Operator: n.Operator, Created: now, Expires: n.Expires.UTC().Truncate(time.Microsecond),
	}
	if _, err := ParseRole(string(k.Role)); err != nil {
		return draft{}, err
	}
	if err := n.checkIdle(); err != nil {
		return draft{}, err
	}
	k.Unrestricted = k.unrestricted()
	switch {
	case k.DefaultAID != "" && !validText(k.DefaultAID, MaxNounIDBytes):
		return draft{}, meter.Errorf(meter.KindInvalid, "default_aid is at most %d bytes of UTF-8 without control characters", MaxNounIDBytes)
	case k.Customer != "" && !validText(k.Customer, MaxCustomerBytes):
		return draft{}, meter.Errorf(meter.KindInvalid, "customer is at most %d bytes of UTF-8 without control characters", MaxCustomerBytes)
	case k.expired(now):
		return draft{}, meter.Errorf(meter.KindInvalid, "expires must be in the future")
	}
	if k.Kind == KindEdgeGrid {
		return draft{held: newRingKey(k, [sha256.Size]byte{}, newCredential())}, nil
	}
	secret := randomText(secretBytes)
	return draft{held: newRingKey(k, hashSecret(secret), nil), token: formatToken(k.ID, secret)}, nil
}

func (s *Store) insertKey(ctx context.Context, tx *sql.Tx, d draft, actor string) error {
	k := d.held.key
	customer := sql.NullString{String: k.Customer, Valid: k.Customer != ""}
	flag := func(set bool) int {
		if set {
			return 1
		}
		return 0
	}
	var hash, client, access any
	if c := d.held.credential; c != nil {
		client, access = c.ClientToken, c.AccessToken
	} else {
		hash = d.held.hash[:]
	}
	_, err := tx.ExecContext(ctx, stmtKeys.KeyCreate, k.ID, k.Organization, string(k.Role), string(k.Kind), customer, flag(k.Operator),
		hash, micros(k.Created), micros(k.Expires), string(k.Accounts), k.DefaultAID, client, access, d.sealed, string(k.Sources), flag(k.Strict))
	if err != nil {
		return err
	}
	return s.audit(ctx, tx, change{organization: k.Organization, actor: actor, action: AuditCreate, noun: "key", id: k.ID, after: k})
}

// Revocation says who revokes a key, and what is allowed.
type Revocation struct {
	Actor    string
	Operator bool // the actor holds the operator right, and may revoke keys that do
	Force    bool // also the last admin key of the organization, or its last with the operator right
}

// RevokeKey ends a key's validity at once: when it returns, the key
// authenticates no more. A key of another organization is KindNotFound, like
// one that does not exist; a key that is revoked already stays as it is. The
// last key that can make others is KindConflict, unless it is forced; an
// operator's key that no operator revokes is KindForbidden.
func (s *Store) RevokeKey(ctx context.Context, organization, id string, by Revocation) (Key, error) {
	actor := by.Actor
	if err := checkActor(actor); err != nil {
		return Key{}, err
	}
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	var after Key
	err := s.write(ctx, "revoke the key", func(tx *sql.Tx) error {
		before, err := getKey(ctx, tx, organization, id)
		if err != nil {
			return err
		}
		before.LastUsed = s.ring.lastUsed(before)
		after = before
		if !before.Revoked.IsZero() {
			return nil
		}
		after.Revoked = s.now()
		if err := s.mayRevoke(ctx, tx, before, by); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmtKeys.KeyRevoke, organization, id, micros(after.Revoked)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmtKeys.KeyUsed, id, micros(after.LastUsed)); err != nil {
			return err
		}
		return s.audit(ctx, tx, change{organization: organization, actor: actor, action: AuditRevoke, noun: "key", id: id, before: before, after: after})
	})
	if err != nil {
		return Key{}, err
	}
	s.ring.remove(id)
	return after, nil
}

// mayRevoke refuses what would lock everybody out, and what is an operator's to do.
func (s *Store) mayRevoke(ctx context.Context, tx *sql.Tx, k Key, by Revocation) error {
	if k.Operator && !by.Operator {
		return meter.Errorf(meter.KindForbidden, "only a key with the operator right may revoke one that has it")
	}
	if by.Force || k.Role != RoleAdmin || k.Kind != KindToken || k.expired(s.now()) {
		return nil
	}
	var admins, operators int
	if err := tx.QueryRowContext(ctx, stmtKeys.KeyOthers, k.Organization, k.ID, micros(s.now())).Scan(&admins, &operators); err != nil {
		return err
	}
	switch {
	case admins == 0:
		return meter.Errorf(meter.KindConflict, "this is the last admin key of organization %s: create another first, or force it", k.Organization)
	case k.Operator && operators == 0:
		return meter.Errorf(meter.KindConflict, "this is the last key with the operator right: create another first, or force it")
	}
	return nil
}

// Key returns one key of an organization, revoked or not. A key of another
// organization is KindNotFound, like one that does not exist.
func (s *Store) Key(ctx context.Context, organization, id string) (Key, error) {
	k, err := getKey(ctx, s.reader, organization, id)
	if err != nil {
		return Key{}, s.fail(err, "cannot read the key")
	}
	k.LastUsed = s.ring.lastUsed(k)
	return k, nil
}

// Keys lists an organization's keys, the oldest first, with those that are
// expired or revoked. An unknown organization has none.
func (s *Store) Keys(ctx context.Context, organization string, p Page) (KeyPage, error) {
	limit, err := p.limit(s.limits.PageSize)
	if err != nil {
		return KeyPage{}, err
	}
	after, err := parsePosition(p.Cursor)
	if err != nil {
		return KeyPage{}, err
	}
	items, err := list(ctx, s.reader, scanKey, stmtKeys.KeyList, organization, after.number, after.text, limit+1)
	if err != nil {
		return KeyPage{}, s.fail(err, "cannot list keys")
	}
	for i := range items {
		items[i].LastUsed = s.ring.lastUsed(items[i])
	}
	var page KeyPage
	page.Items, page.Next = cut(items, limit, func(k Key) string { return position{k.Created.UnixMicro(), k.ID}.String() })
	return page, nil
}

// FirstKey is how the first admin key of a catalogue comes about.
type FirstKey struct {
	Token string                   // of the key; "" = a new one
	Keep  func(token string) error // keeps a new one before it is valid; nil = the caller does
}

// EnsureDefault is EnsureFirst with a new key.
func (s *Store) EnsureDefault(ctx context.Context, actor string) (token string, err error) {
	return s.EnsureFirst(ctx, actor, FirstKey{})
}

// EnsureFirst gives a catalogue without organizations the default one, which
// may report every listing, and returns the token of its first admin key,
// which holds the operator right. Later it does nothing and returns "".
func (s *Store) EnsureFirst(ctx context.Context, actor string, key FirstKey) (token string, err error) {
	o := Organization{ID: DefaultOrganization, Name: DefaultOrganization, CustomerAttribute: DefaultCustomerAttribute, Created: s.now()}
	first, err := s.draftKey(NewKey{Organization: o.ID, Role: RoleAdmin, Kind: KindToken, Operator: true})
	if err := errors.Join(err, checkActor(actor)); err != nil {
		return "", err
	}
	if key.Token != "" {
		id, secret, ok := parseToken(key.Token)
		if !ok {
			return "", meter.Errorf(meter.KindInvalid, "the first admin key that was given has not the form of a key: odo_, %d letters and digits, _ and %d letters and digits", keyIDBytes, secretBytes)
		}
		k := first.held.key
		k.ID = id
		first = draft{held: newRingKey(k, hashSecret(secret), nil), token: key.Token}
	}
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	fresh := false
	err = s.write(ctx, "create the default organization", func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, stmt.OrganizationCount).Scan(&have); err != nil || have > 0 {
			return err
		}
		fresh = true
		if key.Keep != nil && key.Token == "" {
			if err := key.Keep(first.token); err != nil {
				return err
			}
		}
		if err := s.insertOrganization(ctx, tx, o, actor); err != nil {
			return err
		}
		if err := putListings(ctx, tx, o.ID, allListings(o.Created)); err != nil {
			return err
		}
		return s.insertKey(ctx, tx, first, actor)
	})
	if err != nil || !fresh {
		return "", err
	}
	s.ring.add(first.held)
	return first.token, nil
}

func getKey(ctx context.Context, q queryer, organization, id string) (Key, error) {
	k, err := scanKey(q.QueryRowContext(ctx, stmtKeys.KeyGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return k, meter.Errorf(meter.KindNotFound, "no key %q", id)
	}
	return k, err
}

func scanKey(r row) (Key, error) {
	var k Key
	var customer sql.NullString
	var created, expires, revoked, used sql.NullInt64
	err := r.Scan(&k.ID, &k.Organization, &k.Role, &k.Kind, &customer, &k.Operator, &created, &expires, &revoked, &used, &k.Accounts, &k.DefaultAID, &k.Sources, &k.Strict)
	k.Customer = customer.String
	k.Created, k.Expires, k.Revoked, k.LastUsed = fromMicros(created), fromMicros(expires), fromMicros(revoked), fromMicros(used)
	k.Unrestricted = k.unrestricted()
	return k, err
}
