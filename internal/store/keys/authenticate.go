package keys

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// lookups is how many keys are read from the database at a time: requests with
// keys that nobody has leave connections to the others.
const lookups = 2

// AuthenticateKey returns the key that a token belongs to. A token that is
// malformed, unknown, wrong, expired or revoked is KindUnauthenticated in the
// same words. While all keys are held in memory it does no I/O, and finding out
// takes the same time for an unknown id as for a wrong secret; else a key that
// is not held, and one that does not exist, is looked up by its id.
func (s *Store) AuthenticateKey(ctx context.Context, token string) (access.Key, error) {
	id, secret, ok := parseToken(token)
	if !ok {
		return access.Key{}, errUnauthenticated()
	}
	held, certain := s.ring.get(id)
	if held == nil && !certain {
		var err error
		if held, err = s.lookUp(ctx, stmt.KeyByID, id); err != nil {
			return access.Key{}, err
		}
	}
	known := held != nil
	if !known {
		held = s.ring.decoy
	}
	hash := hashSecret(secret)
	match := subtle.ConstantTimeCompare(hash[:], held.hash[:]) == 1
	now := s.db.Now()
	if !known || !match || held.key.Kind != access.KindToken || held.key.Expired(now) {
		return access.Key{}, errUnauthenticated()
	}
	s.uses.touch(held, now)
	return held.key, nil
}

func errUnauthenticated() error {
	return meter.Errorf(meter.KindUnauthenticated, "the key is not valid")
}

// EdgeGridKey returns the key and the credential of a client token, for a
// request's signature to be judged by. Where there is no such key, or it is
// expired or revoked, known is false and the credential one that no client has:
// a caller verifies with it all the same, so that an unknown token takes as long
// as a wrong signature. It reads as AuthenticateKey does. UseKey notes the use.
func (s *Store) EdgeGridKey(ctx context.Context, clientToken string) (k access.Key, c access.Credential, known bool, err error) {
	held, certain := s.ring.client(clientToken)
	if held == nil && !certain && meter.PlainText(clientToken, len(edgeGridPrefix)+edgeGridTokenBytes) {
		if held, err = s.lookUp(ctx, stmt.KeyByClient, clientToken); err != nil {
			return access.Key{}, *s.ring.decoy.credential, false, err
		}
	}
	if held == nil || held.credential == nil || held.key.Expired(s.db.Now()) {
		return access.Key{}, *s.ring.decoy.credential, false, nil
	}
	return held.key, *held.credential, true, nil
}

// lookUp reads a key that is not revoked; nil if there is none.
func (s *Store) lookUp(ctx context.Context, statement, by string) (*ringKey, error) {
	select {
	case s.lookups <- struct{}{}:
		defer func() { <-s.lookups }()
	case <-ctx.Done():
		return nil, s.db.Fail(ctx.Err(), "cannot look up the key")
	}
	removals := s.ring.removed() // before the key is read
	k, err := scanRingKey(s.db.Reader().QueryRowContext(ctx, statement, by))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, s.db.Fail(err, "cannot look up the key")
	}
	s.openSecrets([]*ringKey{k})
	s.ring.keep(k, removals)
	return k, nil
}
