package storetest

import (
	"strings"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var moveCases = []testCase{
	{"whom an entitlement bills changes until something is billed or given", entitlementsMove},
	{"an entitlement that moves no further may change otherwise", entitlementsKeepTheirBuyer},
}

// entitled is a catalog with the entitlement e1.
func entitled(fields string) string {
	return "products: [{id: cdn}, {id: waf}]\ncustomers: [{id: acme}, {id: beta}]\nentitlements: [{id: e1, starts: 2026-01-01, " + fields + "}]\n"
}

const soldToAcme = "customer: acme, product: cdn, partner: AWS, aws: {product_code: prod1, account_id: '123456789012'}"

// elsewhere are changes of soldToAcme that bill another, by what they change.
var elsewhere = map[string]string{
	"customer":            strings.Replace(soldToAcme, "acme", "beta", 1),
	"buyer":               soldToAcme + ", buyer: {id: other}",
	"product":             strings.Replace(soldToAcme, "cdn", "waf", 1),
	"partner":             "customer: acme, product: cdn, partner: GCP, gcp: {service: cdn.example.com, usage_reporting_id: 'project_number:1'}",
	"marketplace account": strings.Replace(soldToAcme, "123456789012", "123456789013", 1),
}

// bind is how an entitlement comes to hold what would move.
var bind = map[string]func(b *bench, organization string){
	"usage record groups": func(b *bench, organization string) { b.groups(organization, usageGroup("g1")) },
	"credit": func(b *bench, organization string) {
		_, err := b.records.AddCredit(b.ctx, organization, "e1", number("5"), billing.Idempotency{}, actor)
		b.must(err)
	},
	"reports": func(b *bench, organization string) {
		b.must(b.records.Freeze(b.ctx, organization, freezeAll, func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
			r, l := frozen("r1")
			return []billing.FrozenReport{r}, []billing.Line{l}, nil
		}))
	},
}

func entitlementsMove(b *bench) {
	b.organization("a")
	for what, to := range elsewhere { // nothing is there yet
		b.must(b.applied("a", entitled(soldToAcme), catalog.ApplyOptions{}))
		if err := b.applied("a", entitled(to), catalog.ApplyOptions{}); err != nil {
			b.Errorf("%s: %v", what, err)
		}
	}
	b.must(b.applied("a", entitled(soldToAcme), catalog.ApplyOptions{}))
	deleted := usageGroup("deleted") // what was deleted bills nobody
	b.groups("a", deleted)
	_, err := b.records.DeleteRecordGroup(b.ctx, "a", "deleted", actor)
	b.must(err)
	b.must(b.applied("a", entitled(elsewhere["customer"]), catalog.ApplyOptions{}))
	b.must(b.applied("a", entitled(soldToAcme), catalog.ApplyOptions{}))
	for holds, hold := range bind {
		b.bound(holds, "with "+holds[:5], hold)
	}
}

// bound checks one reason for which an entitlement moves no more.
func (b *bench) bound(holds, name string, hold func(*bench, string)) {
	b.Helper()
	o := strings.ReplaceAll(name, " ", "-")
	b.organization(o)
	b.must(b.applied(o, entitled(soldToAcme), catalog.ApplyOptions{}))
	hold(b, o)
	before := b.export(o)
	refused := func(what string, err error) {
		b.Helper()
		b.wantKind(err, meter.KindConflict)
		for _, part := range []string{"entitlement e1", what, holds} {
			if err != nil && !strings.Contains(err.Error(), part) {
				b.Errorf("%v, want %q in it", err, part)
			}
		}
	}
	e1 := catalog.NounRef{Kind: catalog.NounEntitlement, ID: "e1"}
	for what, to := range elsewhere {
		for _, opt := range []catalog.ApplyOptions{{}, {DryRun: true}, {Prune: true}, {Effective: day("2026-02-01")}} {
			refused(what, b.applied(o, entitled(to), opt))
		}
	}
	refused("customer", b.store.PatchNoun(b.ctx, o, e1, b.fields(`{"customer":"beta"}`), catalog.ApplyOptions{Actor: actor}))
	refused("buyer", b.store.PatchNoun(b.ctx, o, e1, b.fields(`{"buyer":{"id":"x"}}`), catalog.ApplyOptions{Actor: actor}))
	if after := b.export(o); after != before {
		b.Errorf("something was changed: %s", after)
	}
	// Nor by removing it and making another under its id.
	b.must(b.store.DeleteNoun(b.ctx, o, e1, catalog.ApplyOptions{Actor: actor}))
	refused("customer", b.applied(o, entitled(elsewhere["customer"]), catalog.ApplyOptions{}))
	b.must(b.applied(o, entitled(soldToAcme), catalog.ApplyOptions{}))
	// Nor in two steps, by way of an entitlement that does not say whom.
	b.must(b.applied(o, entitled("customer: acme, product: cdn, partner: AWS"), catalog.ApplyOptions{}))
	refused("marketplace account", b.applied(o, entitled(elsewhere["marketplace account"]), catalog.ApplyOptions{}))
	b.must(b.applied(o, entitled(soldToAcme), catalog.ApplyOptions{}))
}

func entitlementsKeepTheirBuyer(b *bench) {
	b.organization("a")
	b.must(b.applied("a", entitled("customer: acme, product: cdn, partner: AWS"), catalog.ApplyOptions{}))
	b.groups("a", usageGroup("g1"))
	for _, same := range []string{
		soldToAcme, // who is billed was not said before
		soldToAcme + ", buyer: {id: acme}",
		soldToAcme + ", status: cancelled, ends: 2027-01-01, dimensions: [{key: gb, name: GB, unit_price: '2'}]",
		strings.Replace(soldToAcme, "}", ", license_arn: 'arn:aws:license-manager::294406891311:license/l-1'}", 1), // AWS names the same account so too
		strings.Replace(soldToAcme, "}", ", region: eu-west-1}", 1),
	} {
		if err := b.applied("a", entitled(same), catalog.ApplyOptions{}); err != nil {
			b.Errorf("%s: %v", same, err)
		}
	}
}
