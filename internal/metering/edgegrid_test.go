package metering

import (
	"context"
	"slices"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

func TestEdgeGridKeys(t *testing.T) {
	t.Parallel()
	service := openStores(t).service(t, Limits{})
	ctx := context.Background()
	n := NewKey{Role: "read", Kind: KeyKindEdgeGrid, Customer: "acme", Accounts: []string{"A-1"}}
	k, c, err := service.CreateEdgeGridKey(ctx, admin, n)
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := service.EdgeGridKey(ctx, c.ClientToken)
	want := access.Principal{Organization: "default", KeyID: k.ID, Role: access.RoleRead, Customer: "acme"}
	if err != nil || !ok || got.Principal != want || got.AccessToken != c.AccessToken || got.Secret != c.ClientSecret || !slices.Equal(got.Accounts, n.Accounts) {
		t.Errorf("%+v %v", got, ok)
	}
	if k.LastUsed, err = lastUsed(ctx, service, k.ID); err != nil || !k.LastUsed.IsZero() {
		t.Errorf("used before it was: %v %v", k.LastUsed, err)
	}
	service.KeyUsed(got.Principal)
	if k.LastUsed, err = lastUsed(ctx, service, k.ID); err != nil || k.LastUsed.IsZero() {
		t.Errorf("its use was not noted: %v %v", k.LastUsed, err)
	}
	if got, ok, err := service.EdgeGridKey(ctx, "akab-unknown"); ok || err != nil || got.Secret != "" {
		t.Errorf("an unknown token: %+v", got)
	}
	if err := service.RevokeKey(ctx, admin, k.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := service.EdgeGridKey(ctx, c.ClientToken); ok || err != nil {
		t.Error("it was revoked")
	}
	for name, c := range map[string]struct {
		p    access.Principal
		n    NewKey
		want meter.Kind
	}{
		"nobody":     {access.Principal{}, n, meter.KindUnauthenticated},
		"bound":      {want, n, meter.KindForbidden},
		"no role":    {admin, NewKey{Kind: KeyKindEdgeGrid, Role: "king"}, meter.KindInvalid},
		"not a kind": {admin, NewKey{Kind: "token", Role: "read"}, meter.KindInvalid},
	} {
		if _, _, err := service.CreateEdgeGridKey(ctx, c.p, c.n); err == nil || meter.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func lastUsed(ctx context.Context, service *Service, id string) (time.Time, error) {
	page, err := service.Keys(ctx, admin, catalog.Page{})
	if err != nil {
		return time.Time{}, err
	}
	for _, k := range page.Items {
		if k.ID == id {
			return k.LastUsed, nil
		}
	}
	return time.Time{}, meter.Errorf(meter.KindNotFound, "no key %s", id)
}
