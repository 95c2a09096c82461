package akamai

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/akamai/wire"
)

const cpCodeAttribute = "cp_code"

// target is what a request asks about.
type target struct {
	principal access.Principal // the caller, as the account it switched to
	book      *catalog.View
	account   string
	contracts []metering.Agreement // more than one only for a reporting group; the first is named in answers
	product   *catalog.Product     // nil for operation 6
	group     *wire.ReportingGroup
	codes     []int64 // of the group, ascending
	owner     string  // customer
	closed    metering.Closed
}

// errUnseen answers alike what does not exist and what the caller may not see.
var errUnseen = meter.Errorf(meter.KindNotFound, "there is no such contract, product or reporting group")

// open reads what the path names of the catalog, and applies the account switch key.
func (r *request) open(ctx context.Context, asked wire.Range) (t target, err error) {
	t.principal = r.caller.Principal
	if asked.SwitchKey != "" && len(r.caller.Accounts) == 0 {
		return t, meter.Errorf(meter.KindForbidden, "this client may not use accountSwitchKey")
	}
	account := ""
	var want catalog.Want
	if asked.SwitchKey != "" {
		account = asked.Account()
		want.Accounts = []string{account}
	}
	if id := r.Param("contract"); id != "" {
		want.Once = append(want.Once, catalog.NounRef{Kind: catalog.NounContract, ID: id})
	}
	if id, ok := wire.ParseGroup(r.Param("group")); ok {
		want.Once = append(want.Once, catalog.NounRef{Kind: catalog.NounReportingGroup, ID: strconv.FormatInt(id, 10)})
	}
	if t.book, err = r.service.Catalog(ctx, t.principal, want); err != nil || asked.SwitchKey == "" {
		return t, err
	}
	c, ok := t.book.CustomerByAccount(account)
	if !ok || !slices.Contains(r.caller.Accounts, account) {
		return t, errUnseen
	}
	t.principal.Customer = c.ID
	return t, nil
}

// sees says whether the caller may see what is a customer's.
func (t *target) sees(customer string) bool {
	return t.principal.Customer == "" || t.principal.Customer == customer
}

// findContract sets the contract that the path names.
func (t *target) findContract(id string) error {
	c, owner, ok := t.book.Contract(id)
	if !ok || !t.sees(owner) {
		return errUnseen
	}
	t.setContract(owner, c)
	return nil
}

func (t *target) setContract(owner string, c *catalog.Contract) {
	t.contracts = []metering.Agreement{{Owner: owner, Contract: c}}
	t.setOwner(owner)
}

// findProduct sets the product that the path names, which one of the contracts must ever have had.
func (t *target) findProduct(id string) error {
	p, ok := t.book.ProductEver(id)
	if !ok || !slices.ContainsFunc(t.contracts, func(a metering.Agreement) bool { return everHas(a.Contract, id) }) {
		return errUnseen
	}
	t.product = p
	return nil
}

func everHas(c *catalog.Contract, product string) bool {
	return slices.ContainsFunc(c.Terms, func(t catalog.Term) bool { return slices.Contains(t.Products, product) })
}

// findGroup sets the reporting group that the path names, with those of its CP
// codes that are of the product, and their contracts.
func (t *target) findGroup(text, product string) error {
	id, ok := wire.ParseGroup(text)
	if !ok {
		return errUnseen
	}
	g, owner, ok := t.book.ReportingGroup(id)
	if !ok || !t.sees(owner) {
		return errUnseen
	}
	t.setGroup(owner, g, product)
	return nil
}

// setGroup sets a reporting group, with those of its CP codes that are of the product.
func (t *target) setGroup(owner string, g *catalog.ReportingGroup, product string) {
	t.group = &wire.ReportingGroup{ReportingGroupID: g.ID, ReportingGroupName: g.Name}
	t.codes = slices.Sorted(slices.Values(g.CPCodes))
	t.codes = slices.DeleteFunc(slices.Compact(t.codes), func(code int64) bool {
		c, of, ok := t.book.CPCode(code)
		return !ok || of != owner || !t.addContract(c, owner, product)
	})
	t.setOwner(owner)
}

// addContract adds the contract of a CP code; false if the code is not of the product.
func (t *target) addContract(code *catalog.CPCode, owner, product string) bool {
	c, of, ok := t.book.Contract(code.Contract)
	if !ok || of != owner || code.Product != "" && code.Product != product || !everHas(c, product) {
		return false
	}
	if !slices.ContainsFunc(t.contracts, func(a metering.Agreement) bool { return a.Contract.ID == c.ID }) {
		t.contracts = append(t.contracts, metering.Agreement{Owner: owner, Contract: c})
	}
	return true
}

func (t *target) setOwner(customer string) {
	t.owner, t.account = customer, customer
	if c, ok := t.book.CustomerEver(customer); ok {
		t.account = cmp.Or(c.AccountID, customer)
	}
}

// ofContract finds contract and product of the path.
func (r *request) ofContract(ctx context.Context, asked wire.Range) (target, error) {
	t, err := r.open(ctx, asked)
	if err == nil {
		err = t.findContract(r.Param("contract"))
	}
	if err == nil {
		err = t.findProduct(r.Param("product"))
	}
	return t, r.ready(ctx, &t, asked, err)
}

// ofGroup finds reporting group and product of the path.
func (r *request) ofGroup(ctx context.Context, asked wire.Range) (target, error) {
	t, err := r.open(ctx, asked)
	if err == nil {
		err = t.findGroup(r.Param("group"), r.Param("product"))
	}
	if err == nil {
		err = t.findProduct(r.Param("product"))
	}
	return t, r.ready(ctx, &t, asked, err)
}

// ready checks the range of what was found, and says which months are closed.
func (r *request) ready(ctx context.Context, t *target, asked wire.Range, err error) error {
	if err == nil {
		err = t.checkStart(asked)
	}
	if err == nil {
		t.closed, err = r.service.Closed(ctx, t.principal, t.owner)
	}
	return err
}

// checkStart refuses a month that ends before any of the contracts starts.
func (t *target) checkStart(asked wire.Range) error {
	end := asked.Start.Period().To
	for _, a := range t.contracts {
		if starts := a.Contract.Starts; starts.IsZero() || starts.Before(end) {
			return nil
		}
	}
	return meter.Errorf(meter.KindInvalid, "%s is before the contract's start", asked.Start)
}

// agreements are all contracts of the customers billed under a contract.
func (t *target) agreements(a metering.Agreement) []metering.Agreement {
	var out []metering.Agreement
	for _, customer := range append([]string{a.Owner}, a.Contract.Customers...) {
		for _, c := range t.book.ContractsOf(customer) {
			if !slices.ContainsFunc(out, func(o metering.Agreement) bool { return o.Contract.ID == c.ID }) {
				_, owner, _ := t.book.Contract(c.ID)
				out = append(out, metering.Agreement{Owner: owner, Contract: c})
			}
		}
	}
	return out
}

// part is a sub-period of a month and whose events count in it.
type part struct {
	metering.Span
	Scopes []metering.Scope `json:"scopes"`
}

// parts are the sub-periods of a month in which a product is sold. Those of
// several contracts are the whole month, in regions if the first has them.
func (t *target) parts(product string, in meter.Period) []part {
	var out []part
	for _, a := range t.contracts {
		known := t.agreements(a)
		for _, span := range metering.Spans(a.Contract, product, in) {
			out = append(out, part{span, metering.ContractScopes(a, known, product, span.Period)})
		}
	}
	if len(t.contracts) < 2 || len(out) == 0 {
		return out
	}
	whole := part{Span: metering.Span{Period: in, Regions: out[0].Regions}}
	for _, p := range out {
		whole.Scopes = append(whole.Scopes, p.Scopes...)
	}
	return []part{whole}
}

// codeTexts are CP codes as events name them.
func codeTexts(codes []int64) []string {
	out := make([]string, len(codes))
	for i, c := range codes {
		out[i] = strconv.FormatInt(c, 10)
	}
	return out
}
