package metering

import (
	"context"
	"odometer/internal/access"
)

// EdgeGridKey is a key that proves itself by signatures.
type EdgeGridKey struct {
	Principal   access.Principal
	Accounts    []string // account ids that it may switch to
	AccessToken string
	Secret      string
}

// EdgeGridKey returns the key that has a client token, for the surface to
// judge a signature by; false if there is none, or it is not valid any more.
// KeyUsed notes that a signature was good.
func (s *Service) EdgeGridKey(ctx context.Context, clientToken string) (key EdgeGridKey, known bool, err error) {
	k, c, known, err := s.keys.EdgeGridKey(ctx, clientToken)
	if err != nil || !known {
		return EdgeGridKey{}, false, err
	}
	p := access.Principal{Organization: k.Organization, KeyID: k.ID, Role: k.Role, Customer: k.Customer, Operator: k.Operator}
	return EdgeGridKey{Principal: p, Accounts: k.Accounts.List(), AccessToken: c.AccessToken, Secret: c.ClientSecret}, true, nil
}

// KeyUsed notes that the principal's key was used now. Authenticate does it by itself.
func (s *Service) KeyUsed(p access.Principal) { s.keys.UseKey(p.KeyID) }

// CreateEdgeGridKey adds a key that signs requests and returns it with its
// credential, which cannot be had again.
func (s *Service) CreateEdgeGridKey(ctx context.Context, p access.Principal, n NewKey) (access.Key, access.Credential, error) {
	if err := p.May(access.ActionManage); err != nil {
		return access.Key{}, access.Credential{}, err
	}
	key, err := n.in(p)
	if err != nil {
		return access.Key{}, access.Credential{}, err
	}
	return s.keys.CreateEdgeGridKey(ctx, key, p.Actor())
}
