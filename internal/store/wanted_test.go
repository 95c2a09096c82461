package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"odometer/internal/catalog"
)

// wanted compares what views that have what is wanted say with what the view of all nouns says.
func (c *changer) wanted(n int) {
	c.t.Helper()
	ctx := c.t.Context()
	all, err := c.s.ReadAnew(ctx, "a")
	c.must(err)
	ids := []string{"1", "2", "3", "4", "none"}
	for range 3 {
		id, account := c.one(ids...), "A"+c.one(ids...)
		once := catalog.NounRef{Kind: c.one(catalog.NounContract, catalog.NounCPCode, catalog.NounReportingGroup, catalog.NounAccountGroup), ID: c.one(ids...)}
		for _, w := range []struct {
			want catalog.Want
			ask  func(v *catalog.View) string
		}{
			{catalog.OfCustomers(id), func(v *catalog.View) string { return c.asked(v, id) }},
			{catalog.OfCustomers(id, "2"), func(v *catalog.View) string { return c.asked(v, id) + c.asked(v, "2") }},
			{catalog.Want{Accounts: []string{account}}, func(v *catalog.View) string {
				of, ok := v.CustomerByAccount(account)
				if !ok {
					return "none"
				}
				return c.asked(v, of.ID)
			}},
			{catalog.Want{Once: []catalog.NounRef{once}}, func(v *catalog.View) string { return c.askedOnce(v, once) }},
			{catalog.Want{}, func(v *catalog.View) string {
				return c.text(v.Products(), v.Units(), v.Entitlements(), v.UsersOf("m1"), v.UsersOf("m2"), v.PastEntitlements(time.Time{}))
			}},
		} {
			view, err := c.s.ViewOf(ctx, "a", w.want)
			c.must(err)
			if got, want := w.ask(view), w.ask(all); got != want {
				c.t.Fatalf("change %d: of %+v:\n%s\nwant\n%s", n, w.want, got, want)
			}
		}
	}
}

func (c *changer) text(values ...any) string {
	c.t.Helper()
	var b strings.Builder
	for _, v := range values {
		text, err := json.Marshal(v)
		c.must(err)
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.String()
}

// asked is all that a view says of a customer.
func (c *changer) asked(v *catalog.View, id string) string {
	c.t.Helper()
	from, to := c.clock.Now().AddDate(0, -2, 0), c.clock.Now().AddDate(0, 1, 0)
	is, has := v.Customer(id)
	ever, was := v.CustomerEver(id)
	out := c.text(is, has, ever, was, v.AccountGroupsOf(id), v.AccountGroupName(id, id), v.ServiceName(id, "1"), v.HasService(id, "1", c.clock.Now()), v.ServicesIn(id, from, to),
		v.TestsIn(id, from, to), v.AgentsOf(id, from, to), v.AgentsCounted(id, from, to), v.CPCodesEver(id), v.EntitlementsOf(id))
	for _, product := range []string{"1", "2", "3", "4", "5"} {
		p, ok := v.ProductEver(product)
		contract, only := v.ContractAt(id, product, c.clock.Now())
		out += c.text(p, ok, v.ProductSeenBy(id, product), contract, only, v.ContractHas("1", id, product, c.clock.Now()))
	}
	out += c.text(v.MeterSeenBy(id, "m1"), v.MeterSeenBy(id, "m2"), v.MeterSeenBy(id, "m3"))
	if has {
		for _, kind := range []string{catalog.NounService, catalog.NounContract, catalog.NounCPCode, catalog.NounTest} {
			nouns, err := v.Nouns(catalog.NounRef{Kind: kind, Customer: id})
			c.must(err)
			out += c.text(nouns)
		}
	}
	for _, k := range v.ContractsOf(id) {
		out += c.askedOnce(v, catalog.NounRef{Kind: catalog.NounContract, ID: k.ID})
	}
	for _, code := range v.CPCodesEver(id) {
		out += c.askedOnce(v, catalog.NounRef{Kind: catalog.NounCPCode, ID: fmt.Sprint(code.ID)})
	}
	return out
}

// askedOnce is what a view says of what exists once, and of whose it is.
func (c *changer) askedOnce(v *catalog.View, r catalog.NounRef) string {
	c.t.Helper()
	from, to := c.clock.Now().AddDate(0, -2, 0), c.clock.Now().AddDate(0, 1, 0)
	var number int64
	_, _ = fmt.Sscan(r.ID, &number) // the texts that are none name nothing
	switch r.Kind {
	case catalog.NounCPCode:
		code, of, ok := v.CPCode(number)
		return c.text(r.ID, code, of, ok, v.CPCodeIn(number, from, to))
	case catalog.NounReportingGroup:
		group, of, ok := v.ReportingGroup(number)
		return c.text(r.ID, group, of, ok, v.ReportingGroupIn(number, from, to))
	case catalog.NounAccountGroup:
		of, ok := v.CustomerByAID(r.ID)
		return c.text(r.ID, of, ok)
	}
	k, of, ok := v.Contract(r.ID)
	out := c.text(r.ID, k, of, ok, v.TermsIn(r.ID, from, to))
	if !ok {
		return out
	}
	for _, customer := range append([]string{of}, k.Customers...) {
		for _, other := range v.ContractsOf(customer) {
			_, owner, _ := v.Contract(other.ID)
			out += c.text(customer, other, owner, v.TermsIn(other.ID, from, to))
		}
	}
	return out
}
