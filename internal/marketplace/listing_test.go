package marketplace

import (
	"context"
	"strings"
	"testing"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// inOrganization acts for another organization of the shop.
func (s *shop) inOrganization(id string, do func(organization string)) {
	s.t.Helper()
	if _, err := s.catalog.CreateOrganization(context.Background(), catalog.NewOrganization{ID: id}, "test"); err != nil && meter.KindOf(err) != meter.KindConflict {
		s.t.Fatal(err)
	}
	do(id)
}

// applyTo makes the catalog of an organization what the YAML says.
func (s *shop) applyTo(organization, yaml string) error {
	s.t.Helper()
	doc, err := catalog.ParseDocument([]byte(yaml))
	s.must(err)
	_, err = s.catalog.Apply(context.Background(), organization, doc, catalog.ApplyOptions{Actor: "test"})
	return err
}

func (s *shop) allow(organization string, listings ...catalog.Listing) {
	s.t.Helper()
	_, err := s.catalog.SetListings(context.Background(), organization, listings, "test")
	s.must(err)
}

// listingOfCloud is what the tests' entitlements of a cloud need.
func listingOfCloud(s *shop, entitlement string) catalog.Listing {
	view, err := s.catalog.View(context.Background(), org)
	s.must(err)
	e, ok := view.Entitlement(entitlement)
	if !ok {
		s.t.Fatalf("no entitlement %s", entitlement)
	}
	return catalog.Listing{Partner: e.Partner, Listing: e.Listing()}
}

// TestOrganizationsReportTheirListingsOnly: what no operator lets an
// organization report is neither sent by a pass nor by hand, and is billed once
// it is allowed.
func TestOrganizationsReportTheirListingsOnly(t *testing.T) {
	t.Parallel()
	for _, cloud := range clouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			m := newMarkets(t, s.clock, 1)
			r := s.reporter(m, "one")
			e := "e-" + cloud
			s.apply(oneEach(""))
			may := listingOfCloud(s, e)
			s.allow(org) // as any organization that is new
			s.post(e, "gb=5", ten)
			s.clock.Advance(70 * time.Minute)
			s.run(r)
			for _, dry := range []bool{false, true} {
				_, err := r.Report(context.Background(), org, e, ten, dry)
				if err == nil || meter.KindOf(err) != meter.KindForbidden || !strings.Contains(err.Error(), may.Listing) {
					t.Errorf("dry %v: %v", dry, err)
				}
			}
			s.nothingSent(m)
			s.allow(org, catalog.Listing{Partner: may.Partner, Listing: "another"})
			s.run(r)
			s.nothingSent(m)
			s.allow(org, may)
			s.billsFive(r, m, cloud)
		})
	}
}

// TestFrozenLinesWaitForTheirListing: a line that is frozen is not sent while
// its organization may not report the listing.
func TestFrozenLinesWaitForTheirListing(t *testing.T) {
	t.Parallel()
	for _, cloud := range clouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			m := newMarkets(t, s.clock, 1)
			idle := New(Options{Usage: s.service, Entries: s.service, Records: s.room, Accounts: s.catalog, Store: s.records, Clock: s.clock.Now, Owner: "without senders"})
			s.apply(oneEach(""))
			s.post("e-"+cloud, "gb=5", ten)
			s.clock.Advance(70 * time.Minute)
			s.run(idle)
			had, err := s.catalog.Listings(context.Background(), org)
			s.must(err)
			s.allow(org)
			r := s.reporter(m, "one")
			s.run(r)
			s.nothingSent(m)
			s.allow(org, had...)
			s.billsFive(r, m, cloud)
		})
	}
}

// TestOneOrganizationBillsAnAccount: of two organizations that name one buyer of
// one listing, one bills.
func TestOneOrganizationBillsAnAccount(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	m := newMarkets(t, s.clock, 1)
	r := s.reporter(m, "one")
	s.inOrganization("rival", func(rival string) {
		s.must(s.applyTo(rival, oneEach(""))) // before anybody bills it, and before it is allowed
		s.apply(oneEach(""))
		s.allow(rival, catalog.Listing{Partner: "AWS", Listing: "*"}, catalog.Listing{Partner: "AZURE", Listing: "*"}, catalog.Listing{Partner: "GCP", Listing: "*"})
		if err := s.applyTo(rival, product+entitlement("new", clouds[0], cloudAccount(clouds[0]), "")); meter.KindOf(err) != meter.KindConflict {
			t.Errorf("%v", err)
		}
		for _, cloud := range clouds {
			s.post("e-"+cloud, "gb=5", ten)
			s.clock.Advance(70 * time.Minute)
			if _, err := r.Report(context.Background(), rival, "e-"+cloud, ten, false); err == nil || meter.KindOf(err) != meter.KindConflict {
				t.Errorf("%s: %v", cloud, err)
			}
			s.run(r)
			s.clock.Set(ten)
		}
		s.agree(m)
	})
}

// billsFive runs the reporter, which then has billed 5 of the cloud's account.
func (s *shop) billsFive(r *Reporter, m *markets, cloud string) {
	s.t.Helper()
	s.run(r)
	s.agree(m)
	if got := m.Total(cloudAccount(cloud), "gb"); got.String() != "5" {
		s.t.Errorf("%s billed, want 5", got)
	}
}

// nothingSent checks that the marketplaces have accepted nothing.
func (s *shop) nothingSent(m *markets) {
	s.t.Helper()
	if got := m.Ledger(); len(got) != 0 {
		s.t.Fatalf("sent: %+v", got)
	}
}
