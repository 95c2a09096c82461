package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

// MaxAccounts is how many accounts a key may switch to.
const MaxAccounts = 1000

// Accounts are the account ids that a key may switch to, in order. Equal ones
// are equal in Go too.
type Accounts string // one a line

// NewAccounts makes Accounts of ids, each once.
func NewAccounts(ids ...string) (Accounts, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, id := range ids {
		if !validText(id, MaxNounIDBytes) || strings.Contains(id, ":") {
			return "", meter.Errorf(meter.KindInvalid, "an account is 1 to %d bytes of UTF-8 without control characters and colons", MaxNounIDBytes)
		}
	}
	if len(ids) > MaxAccounts {
		return "", meter.Errorf(meter.KindTooLarge, "%d accounts are more than %d", len(ids), MaxAccounts)
	}
	return Accounts(strings.Join(ids, "\n")), nil
}

// List returns the ids in order.
func (a Accounts) List() []string {
	if a == "" {
		return nil
	}
	return strings.Split(string(a), "\n")
}

// Has says whether an account is among them.
func (a Accounts) Has(account string) bool { return slices.Contains(a.List(), account) }

// MarshalJSON renders a list.
func (a Accounts) MarshalJSON() ([]byte, error) { return json.Marshal(a.List()) }

// UnmarshalJSON reads a list.
func (a *Accounts) UnmarshalJSON(text []byte) error {
	var ids []string
	if err := json.Unmarshal(text, &ids); err != nil {
		return err
	}
	var err error
	*a, err = NewAccounts(ids...)
	return err
}

// Credential is what an EdgeGrid client signs with.
type Credential struct {
	ClientToken  string
	AccessToken  string
	ClientSecret string
}

// The form of EdgeGrid tokens: the prefix that clients know and random text.
const (
	edgeGridPrefix     = "akab-"
	edgeGridTokenBytes = 32
)

func newCredential() *Credential {
	return &Credential{
		ClientToken:  edgeGridPrefix + randomText(edgeGridTokenBytes),
		AccessToken:  edgeGridPrefix + randomText(edgeGridTokenBytes),
		ClientSecret: randomText(secretBytes),
	}
}

// CreateEdgeGridKey adds an EdgeGrid key and returns it with its credential,
// whose secret cannot be had again. The first makes the secret key file.
func (s *Store) CreateEdgeGridKey(ctx context.Context, n NewKey, actor string) (Key, Credential, error) {
	if n.Kind == "" {
		n.Kind = KindEdgeGrid
	}
	if n.Kind != KindEdgeGrid {
		return Key{}, Credential{}, meter.Errorf(meter.KindInvalid, "kind must be edgegrid")
	}
	d, err := s.draftKey(n)
	if err := errors.Join(err, checkActor(actor)); err != nil {
		return Key{}, Credential{}, err
	}
	if d.sealed, err = s.sealer.seal(d.held.credential.ClientSecret, d.held.key.ID); err != nil {
		return Key{}, Credential{}, err
	}
	if err := s.storeKey(ctx, d, actor, s.limits); err != nil {
		return Key{}, Credential{}, err
	}
	return d.held.key, *d.held.credential, nil
}

// EdgeGridKey returns the key and the credential of a client token, for a
// request's signature to be judged by. It does no I/O. Where there is no such
// key, or it is expired or revoked, known is false and the credential one that
// no client has: a caller verifies with it all the same, so that an unknown
// token takes as long as a wrong signature. UseKey notes the use.
func (s *Store) EdgeGridKey(clientToken string) (k Key, c Credential, known bool) {
	held, known := s.ring.client(clientToken)
	if !known || held.key.expired(s.clock()) {
		return Key{}, *s.ring.decoy.credential, false
	}
	return held.key, *held.credential, true
}

// UseKey notes that a key was used now. AuthenticateKey does it by itself.
func (s *Store) UseKey(id string) {
	if held, known := s.ring.get(id); known {
		held.touch(s.clock())
	}
}

// toldKeys is how many keys a line of the log names.
const toldKeys = 10

// openSecrets decrypts the secrets of EdgeGrid keys that were read. One that
// cannot be decrypted does not authenticate. The log has a line for each reason:
// a key file that is missing is one fault, however many keys there are.
func (s *Store) openSecrets(keys []*ringKey) {
	closed := map[string][]string{} // reason -> keys
	for _, k := range keys {
		if k.credential == nil {
			continue
		}
		secret, err := s.sealer.open(k.sealed, k.key.ID)
		k.sealed = nil
		if err != nil {
			closed[err.Error()] = append(closed[err.Error()], k.key.Organization+"/"+k.key.ID)
			k.credential = nil
			continue
		}
		k.credential.ClientSecret = secret
	}
	for _, reason := range sortedKeys(closed) {
		which := closed[reason]
		s.logger.Error("EdgeGrid keys cannot be used", "count", len(which), "keys", which[:min(len(which), toldKeys)], "error", reason)
	}
}

// expired says whether the key is not valid any more.
func (k Key) expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }
