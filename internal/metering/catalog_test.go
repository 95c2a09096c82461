package metering

import (
	"testing"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

func TestCatalog(t *testing.T) {
	t.Parallel()
	stores := openStores(t)
	service := stores.service(t, Limits{})
	doc, err := catalog.ParseDocument([]byte("customers: [{id: acme, name: Acme, services: [{id: S1, name: shop}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stores.catalog.Apply(t.Context(), "default", doc, catalog.ApplyOptions{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	view, err := service.Catalog(t.Context(), access.Principal{Organization: "default", Role: access.RoleRead}, catalog.Want{})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := view.Customer("acme"); !ok || c.Name != "Acme" {
		t.Errorf("%+v %t", c, ok)
	}
	for name, c := range map[string]struct {
		p    access.Principal
		want meter.Kind
	}{
		"nobody":                  {access.Principal{}, meter.KindUnauthenticated},
		"a key that may not read": {access.Principal{Organization: "default", Role: access.RoleIngest}, meter.KindForbidden},
		"no such organization":    {access.Principal{Organization: "stranger", Role: access.RoleRead}, meter.KindNotFound},
	} {
		if _, err := service.Catalog(t.Context(), c.p, catalog.Want{}); err == nil || meter.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
