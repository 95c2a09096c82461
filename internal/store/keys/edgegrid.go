package keys

import (
	"context"
	"errors"
	"maps"
	"slices"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// The form of EdgeGrid tokens: the prefix that clients know and random text.
const (
	edgeGridPrefix     = "akab-"
	edgeGridTokenBytes = 32
)

func newCredential() *access.Credential {
	return &access.Credential{
		ClientToken:  edgeGridPrefix + randomText(edgeGridTokenBytes),
		AccessToken:  edgeGridPrefix + randomText(edgeGridTokenBytes),
		ClientSecret: randomText(secretBytes),
	}
}

// CreateEdgeGridKey adds an EdgeGrid key and returns it with its credential,
// whose secret cannot be had again. The first makes the secret key file.
func (s *Store) CreateEdgeGridKey(ctx context.Context, n access.NewKey, actor string) (access.Key, access.Credential, error) {
	if n.Kind == "" {
		n.Kind = access.KindEdgeGrid
	}
	if n.Kind != access.KindEdgeGrid {
		return access.Key{}, access.Credential{}, meter.Errorf(meter.KindInvalid, "kind must be edgegrid")
	}
	d, err := s.draftKey(n)
	if err := errors.Join(err, catalog.CheckActor(actor)); err != nil {
		return access.Key{}, access.Credential{}, err
	}
	if d.sealed, err = s.sealer.seal(d.held.credential.ClientSecret, d.held.key.ID); err != nil {
		return access.Key{}, access.Credential{}, err
	}
	if err := s.storeKey(ctx, d, actor, s.db.Limits()); err != nil {
		return access.Key{}, access.Credential{}, err
	}
	return d.held.key, *d.held.credential, nil
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
	for _, reason := range slices.Sorted(maps.Keys(closed)) {
		which := closed[reason]
		s.db.Logger().Error("EdgeGrid keys cannot be used", "count", len(which), "keys", which[:min(len(which), toldKeys)], "error", reason)
	}
}
