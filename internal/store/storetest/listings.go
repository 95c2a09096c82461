package storetest

import (
	"fmt"
	"strings"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var listingCases = []testCase{
	{"the first organization may report every listing, others none", firstMayReport},
	{"a listing that is given by name is no longer everybody's", namedListings},
	{"listings are checked, kept and audited", listingsKept},
	{"an account is billed by one organization", oneBiller},
	{"an account is free when its organization lets go of it", accountsLetGo},
}

func firstMayReport(b *bench) {
	_, err := b.keys.EnsureDefault(b.ctx, actor)
	b.must(err)
	b.organization("other")
	for _, partner := range []string{catalog.PartnerAWS, catalog.PartnerAzure, catalog.PartnerGCP} {
		b.mayReport("default", partner, "x", true)
		b.mayReport("other", partner, "x", false)
	}
}

func (b *bench) mayReport(organization, partner, listing string, want bool) {
	b.Helper()
	may, err := b.store.MayReport(b.ctx, organization, partner, listing)
	b.must(err)
	if may != want {
		b.Errorf("%s may report %s %s: %v, want %v", organization, partner, listing, may, want)
	}
}

func (b *bench) allow(organization string, listings ...string) {
	b.Helper()
	var all []catalog.Listing
	for _, l := range listings {
		partner, listing, _ := strings.Cut(l, " ")
		all = append(all, catalog.Listing{Partner: partner, Listing: listing})
	}
	_, err := b.store.SetListings(b.ctx, organization, all, actor)
	b.must(err)
}

func namedListings(b *bench) {
	_, err := b.keys.EnsureDefault(b.ctx, actor)
	b.must(err)
	b.organization("other")
	b.allow("other", "AWS prod2", "AZURE 7F2C6F7E-0000-4000-8000-000000000001")
	b.mayReport("other", "AWS", "prod2", true)
	b.mayReport("other", "GCP", "prod2", false)
	b.mayReport("other", "AZURE", "7f2c6f7e-0000-4000-8000-000000000001", true)
	b.mayReport("default", "AWS", "prod2", false)
	b.mayReport("default", "AWS", "prod1", true)
	b.allow("default", "AWS *", "AWS prod2")
	b.mayReport("default", "AWS", "prod2", true)
	b.mayReport("other", "AWS", "prod2", true)
	b.mayReport("default", "GCP", "x", false)
	b.allow("other")
	b.mayReport("other", "AWS", "prod2", false)
}

func listingsKept(b *bench) {
	b.organization("a")
	b.allow("a", "GCP s", "AWS p2", "AWS p1", "AWS p2")
	first := b.clock.Now()
	b.clock.Advance(time.Hour)
	b.allow("a", "AWS p1", "AWS p3")
	b.allow("a", "AWS p3", "AWS p1")
	got, err := b.store.Listings(b.ctx, "a")
	b.must(err)
	if len(got) != 2 || got[0] != (catalog.Listing{Partner: "AWS", Listing: "p1", Created: first}) || got[1].Listing != "p3" || !got[1].Created.Equal(b.clock.Now()) {
		b.Errorf("%+v", got)
	}
	told := 0
	for _, e := range b.audit("a") {
		if e.Noun == "listings" {
			told++
		}
	}
	if told != 2 {
		b.Errorf("%d audit entries of listings, want one for each change", told)
	}
	for _, l := range []catalog.Listing{{Partner: "aws", Listing: "p"}, {Partner: "AWS"}, {Partner: "AWS", Listing: "a\nb"}, {Partner: "AWS", Listing: strings.Repeat("x", 257)}} {
		_, err := b.store.SetListings(b.ctx, "a", []catalog.Listing{l}, actor)
		b.wantKind(err, meter.KindInvalid)
	}
	var many []catalog.Listing
	for i := range catalog.MaxListings + 1 {
		many = append(many, catalog.Listing{Partner: "AWS", Listing: fmt.Sprint(i)})
	}
	_, err = b.store.SetListings(b.ctx, "a", many, actor)
	b.wantKind(err, meter.KindTooLarge)
	_, err = b.store.SetListings(b.ctx, "a", many[1:], actor)
	b.must(err)
	_, err = b.store.SetListings(b.ctx, "nobody", nil, actor)
	b.wantKind(err, meter.KindNotFound)
	_, err = b.store.Listings(b.ctx, "nobody")
	b.wantKind(err, meter.KindNotFound)
}

// sold is a catalog with one entitlement, whose marketplace is given.
func sold(id, marketplace string) string {
	return "products: [{id: cdn}]\ncustomers: [{id: acme}]\nentitlements: [{id: " + id + ", customer: acme, product: cdn, starts: 2026-01-01, " + marketplace + "}]\n"
}

// applied applies a document and returns what came of it.
func (b *bench) applied(organization, yaml string, o catalog.ApplyOptions) error {
	b.Helper()
	doc, err := catalog.ParseDocument([]byte(yaml))
	b.must(err)
	o.Actor = actor
	_, err = b.store.Apply(b.ctx, organization, doc, o)
	return err
}

// The marketplaces of entitlements, each written in two ways that bill the same buyer.
var sameBuyer = [][2]string{
	{"partner: AWS, aws: {product_code: prod1, customer_identifier: cust-1}", "partner: AWS, aws: {product_code: prod1, customer_identifier: cust-1, region: eu-west-1}"},
	{"partner: AWS, aws: {product_code: prod1, account_id: '123456789012'}", "partner: AWS, aws: {product_code: prod1, account_id: \"123456789012\"}"},
	{"partner: AWS, aws: {product_code: prod1, account_id: '123456789012', license_arn: 'arn:aws:license-manager::294406891311:license/l-1'}",
		"partner: AWS, aws: {product_code: prod2, account_id: '123456789012', license_arn: 'arn:aws:license-manager::294406891311:license/l-1'}"},
	{"partner: AZURE, azure: {resource_id: 7f2c6f7e-0000-4000-8000-00000000000a, plan_id: gold}", "partner: AZURE, azure: {resource_id: 7F2C6F7E-0000-4000-8000-00000000000A, plan_id: silver}"},
	{"partner: GCP, gcp: {service: cdn.example.com, usage_reporting_id: 'project_number:1'}", "partner: GCP, gcp: {service: cdn.example.com, usage_reporting_id: 'project_number:1', metrics: {}}"},
}

func oneBiller(b *bench) {
	everything := []string{"AWS *", "AZURE *", "GCP *"}
	for i, same := range sameBuyer {
		mine, theirs, third := fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i)
		for _, o := range []string{mine, theirs, third} {
			b.organization(o)
		}
		b.allow(mine, everything...)
		b.allow(theirs, everything...)
		b.must(b.applied(mine, sold("e1", same[0]), catalog.ApplyOptions{}))
		b.must(b.applied(mine, sold("e2", same[0]), catalog.ApplyOptions{})) // two of one organization share its lines
		for _, dry := range []bool{true, false} {
			err := b.applied(theirs, sold("e1", same[1]), catalog.ApplyOptions{DryRun: dry})
			b.wantKind(err, meter.KindConflict)
			if strings.Contains(err.Error(), mine) {
				b.Errorf("it tells which organization: %v", err)
			}
		}
		b.must(b.applied(third, sold("e1", same[1]), catalog.ApplyOptions{})) // may report nothing, so it bills nobody
		b.allow(mine)
	}
}

func accountsLetGo(b *bench) {
	for _, o := range []string{"a", "b", "unheard"} {
		b.organization(o)
	}
	mine, theirs := sold("e1", sameBuyer[0][0]), sold("e1", sameBuyer[0][1])
	b.must(b.applied("unheard", mine, catalog.ApplyOptions{})) // takes nothing: no operator lets it report
	b.allow("a", "AWS prod1")
	b.allow("b", "AWS prod1")
	b.must(b.applied("a", mine, catalog.ApplyOptions{}))
	b.wantKind(b.applied("b", theirs, catalog.ApplyOptions{}), meter.KindConflict)
	b.must(b.applied("a", "products: [{id: cdn}]\ncustomers: [{id: acme}]\n", catalog.ApplyOptions{Prune: true}))
	b.must(b.applied("b", theirs, catalog.ApplyOptions{}))
	b.wantKind(b.applied("a", mine, catalog.ApplyOptions{}), meter.KindConflict)
	b.allow("b")
	b.must(b.applied("a", mine, catalog.ApplyOptions{}))

	// What was applied before it was allowed is taken when it is reported.
	view, err := b.store.View(b.ctx, "unheard")
	b.must(err)
	e, _ := view.Entitlement("e1")
	take := func(want meter.Kind) {
		b.Helper()
		refused, err := b.store.TakeAccounts(b.ctx, "unheard", []*catalog.Entitlement{e})
		b.must(err)
		why, err := b.store.Refused(b.ctx, "unheard", e)
		b.must(err)
		b.wantKind(refused["e1"], want)
		b.wantKind(why, want)
	}
	take(meter.KindForbidden)
	b.allow("unheard", "AWS prod1")
	take(meter.KindConflict)
	b.allow("a")
	refused, err := b.store.TakeAccounts(b.ctx, "unheard", []*catalog.Entitlement{e})
	b.must(err)
	if len(refused) != 0 {
		b.Error(refused)
	}
}
