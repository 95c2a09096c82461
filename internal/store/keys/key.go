package keys

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"math"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// KeyPage is a part of an organization's keys, the oldest first.
type KeyPage struct {
	Items []access.Key
	Next  string // Page.Cursor of what follows; "" at the end
}

// CreateKey adds a bearer token's key and returns it with its token, which is
// not stored and cannot be had again. Whether the actor may hand out the operator right is
// the caller's to judge.
func (s *Store) CreateKey(ctx context.Context, n access.NewKey, actor string) (access.Key, string, error) {
	return s.createKey(ctx, n, actor, s.db.Limits())
}

// MintAdminKey adds an admin key to an organization whose keys are lost, also
// where there are as many keys as may be. In the default organization it
// holds the operator right. It is for a data directory at rest.
func (s *Store) MintAdminKey(ctx context.Context, organization, actor string) (access.Key, string, error) {
	unlimited := store.Limits{KeysPerOrganization: math.MaxInt, Keys: math.MaxInt}
	n := access.NewKey{Organization: organization, Role: access.RoleAdmin, Operator: organization == catalog.DefaultOrganization}
	return s.createKey(ctx, n, actor, unlimited)
}

func (s *Store) createKey(ctx context.Context, n access.NewKey, actor string, limits store.Limits) (access.Key, string, error) {
	if n.Kind == "" {
		n.Kind = access.KindToken
	}
	if n.Kind != access.KindToken {
		return access.Key{}, "", meter.Errorf(meter.KindInvalid, "kind must be token")
	}
	fresh, err := s.draftKey(n)
	if err := errors.Join(err, catalog.CheckActor(actor)); err != nil {
		return access.Key{}, "", err
	}
	if err := s.storeKey(ctx, fresh, actor, limits); err != nil {
		return access.Key{}, "", err
	}
	return fresh.held.key, fresh.token, nil
}

// storeKey adds a drafted key, within limits.
func (s *Store) storeKey(ctx context.Context, fresh draft, actor string, limits store.Limits) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	organization := fresh.held.key.Organization
	err := s.db.Write(ctx, "create the key", func(tx *sql.Tx) error {
		if _, err := store.GetOrganization(ctx, tx, organization); err != nil {
			return err
		}
		var have, all int
		if err := tx.QueryRowContext(ctx, stmt.KeyCount, organization).Scan(&have); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, stmt.KeyCountAll).Scan(&all); err != nil {
			return err
		}
		if have >= limits.KeysPerOrganization {
			return meter.Errorf(meter.KindTooLarge, "the organization has %d keys, the limit; revoke those that are no longer used", have)
		}
		if err := checkSources(ctx, tx, fresh.held.key); err != nil {
			return err
		}
		if all >= limits.Keys {
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
func (s *Store) draftKey(n access.NewKey) (draft, error) {
	now := s.db.Now()
	accounts, err := access.NewAccounts(n.Accounts...)
	if err != nil {
		return draft{}, err
	}
	sources, err := access.NewSources(n.Sources...)
	if err != nil {
		return draft{}, err
	}
	k := access.Key{
		Accounts: accounts, DefaultAID: n.DefaultAID, Sources: sources, Strict: n.Strict,
		ID: randomText(keyIDBytes), Organization: n.Organization, Role: n.Role, Kind: n.Kind, Customer: n.Customer,
		Operator: n.Operator, Created: now, Expires: n.Expires.UTC().Truncate(time.Microsecond),
	}
	if _, err := access.ParseRole(string(k.Role)); err != nil {
		return draft{}, err
	}
	if err := checkIdle(n); err != nil {
		return draft{}, err
	}
	k.Unrestricted = unrestricted(k)
	switch {
	case k.DefaultAID != "" && !meter.PlainText(k.DefaultAID, catalog.MaxNounIDBytes):
		return draft{}, meter.Errorf(meter.KindInvalid, "default_aid is at most %d bytes of UTF-8 without control characters", catalog.MaxNounIDBytes)
	case k.Customer != "" && !meter.PlainText(k.Customer, access.MaxCustomerBytes):
		return draft{}, meter.Errorf(meter.KindInvalid, "customer is at most %d bytes of UTF-8 without control characters", access.MaxCustomerBytes)
	case k.Expired(now):
		return draft{}, meter.Errorf(meter.KindInvalid, "expires must be in the future")
	}
	if k.Kind == access.KindEdgeGrid {
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
	_, err := tx.ExecContext(ctx, stmt.KeyCreate, k.ID, k.Organization, string(k.Role), string(k.Kind), customer, flag(k.Operator),
		hash, store.Micros(k.Created), store.Micros(k.Expires), string(k.Accounts), k.DefaultAID, client, access, d.sealed, string(k.Sources), flag(k.Strict))
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, stmt.KeyCounted, k.Organization, 1); err != nil {
		return err
	}
	return s.db.Audit(ctx, tx, store.Entry{Organization: k.Organization, Actor: actor, Action: catalog.AuditCreate, Noun: "key", ID: k.ID, After: k})
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
func (s *Store) RevokeKey(ctx context.Context, organization, id string, by Revocation) (access.Key, error) {
	actor := by.Actor
	if err := catalog.CheckActor(actor); err != nil {
		return access.Key{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var after access.Key
	err := s.db.Write(ctx, "revoke the key", func(tx *sql.Tx) error {
		before, err := getKey(ctx, tx, organization, id)
		if err != nil {
			return err
		}
		before.LastUsed = s.uses.last(before)
		after = before
		if !before.Revoked.IsZero() {
			return nil
		}
		after.Revoked = s.db.Now()
		if err := s.mayRevoke(ctx, tx, before, by); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.KeyRevoke, organization, id, store.Micros(after.Revoked)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.KeyCounted, organization, -1); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.KeyUsed, id, store.Micros(after.LastUsed)); err != nil {
			return err
		}
		return s.db.Audit(ctx, tx, store.Entry{Organization: organization, Actor: actor, Action: catalog.AuditRevoke, Noun: "key", ID: id, Before: before, After: after})
	})
	if err != nil {
		return access.Key{}, err
	}
	s.ring.remove(after)
	return after, nil
}

// mayRevoke refuses what would lock everybody out, and what is an operator's to do.
func (s *Store) mayRevoke(ctx context.Context, tx *sql.Tx, k access.Key, by Revocation) error {
	if k.Operator && !by.Operator {
		return meter.Errorf(meter.KindForbidden, "only a key with the operator right may revoke one that has it")
	}
	if by.Force || k.Role != access.RoleAdmin || k.Kind != access.KindToken || k.Expired(s.db.Now()) {
		return nil
	}
	var admins, operators int
	if err := tx.QueryRowContext(ctx, stmt.KeyOthers, k.Organization, k.ID, store.Micros(s.db.Now())).Scan(&admins, &operators); err != nil {
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
func (s *Store) Key(ctx context.Context, organization, id string) (access.Key, error) {
	k, err := getKey(ctx, s.db.Reader(), organization, id)
	if err != nil {
		return access.Key{}, s.db.Fail(err, "cannot read the key")
	}
	k.LastUsed = s.uses.last(k)
	return k, nil
}

// Keys lists an organization's keys, the oldest first, with those that are
// expired or revoked. An unknown organization has none.
func (s *Store) Keys(ctx context.Context, organization string, p catalog.Page) (KeyPage, error) {
	limit, err := p.Bound(s.db.Limits().PageSize)
	if err != nil {
		return KeyPage{}, err
	}
	after, err := catalog.ParsePosition(p.Cursor)
	if err != nil {
		return KeyPage{}, err
	}
	items, err := store.List(ctx, s.db.Reader(), scanKey, stmt.KeyList, organization, after.Number, after.Text, limit+1)
	if err != nil {
		return KeyPage{}, s.db.Fail(err, "cannot list keys")
	}
	for i := range items {
		items[i].LastUsed = s.uses.last(items[i])
	}
	var page KeyPage
	page.Items, page.Next = catalog.Cut(items, limit, func(k access.Key) string { return catalog.Position{Number: k.Created.UnixMicro(), Text: k.ID}.String() })
	return page, nil
}

// FirstKey is how the first admin key of a catalog comes about.
type FirstKey struct {
	Token string                   // of the key; "" = a new one
	Keep  func(token string) error // keeps a new one before it is valid; nil = the caller does
}

// EnsureDefault is EnsureFirst with a new key.
func (s *Store) EnsureDefault(ctx context.Context, actor string) (token string, err error) {
	return s.EnsureFirst(ctx, actor, FirstKey{})
}

// EnsureFirst gives a catalog without organizations the default one, which
// may report every listing, and returns the token of its first admin key,
// which holds the operator right. Later it does nothing and returns "".
func (s *Store) EnsureFirst(ctx context.Context, actor string, key FirstKey) (token string, err error) {
	o := catalog.Organization{ID: catalog.DefaultOrganization, Name: catalog.DefaultOrganization, CustomerAttribute: catalog.DefaultCustomerAttribute, Created: s.db.Now()}
	first, err := s.draftKey(access.NewKey{Organization: o.ID, Role: access.RoleAdmin, Kind: access.KindToken, Operator: true})
	if err := errors.Join(err, catalog.CheckActor(actor)); err != nil {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := false
	err = s.db.Write(ctx, "create the default organization", func(tx *sql.Tx) error {
		have, err := store.CountOrganizations(ctx, tx)
		if err != nil || have > 0 {
			return err
		}
		fresh = true
		if key.Keep != nil && key.Token == "" {
			if err := key.Keep(first.token); err != nil {
				return err
			}
		}
		if err := s.db.InsertDefault(ctx, tx, o, actor); err != nil {
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

func getKey(ctx context.Context, q store.Queryer, organization, id string) (access.Key, error) {
	k, err := scanKey(q.QueryRowContext(ctx, stmt.KeyGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return k, meter.Errorf(meter.KindNotFound, "no key %q", id)
	}
	return k, err
}

func scanKey(r store.Row) (access.Key, error) {
	var k access.Key
	var customer sql.NullString
	var created, expires, revoked, used sql.NullInt64
	err := r.Scan(&k.ID, &k.Organization, &k.Role, &k.Kind, &customer, &k.Operator, &created, &expires, &revoked, &used, &k.Accounts, &k.DefaultAID, &k.Sources, &k.Strict)
	k.Customer = customer.String
	k.Created, k.Expires, k.Revoked, k.LastUsed = store.FromMicros(created), store.FromMicros(expires), store.FromMicros(revoked), store.FromMicros(used)
	k.Unrestricted = unrestricted(k)
	return k, err
}

// checkIdle refuses what Idle finds.
func checkIdle(n access.NewKey) error {
	if member, why := n.Idle(); member != "" {
		return meter.Errorf(meter.KindInvalid, "%s: %s", member, why)
	}
	return nil
}

// unrestricted says whether the key sends a customer's events of any source:
// it was made before keys had sources, or without.
func unrestricted(k access.Key) bool {
	return k.Customer != "" && k.Role == access.RoleIngest && k.Sources == ""
}
