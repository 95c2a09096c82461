package catalog

import (
	"slices"
	"strconv"
	"strings"

	"odometer/internal/meter"
)

// The limits of nouns.
const (
	MaxNounIDBytes = 256
	maxCycleDay    = 31
	maxSeconds     = 366 * 24 * 3600 // of an interval or a timeout
)

// Validate fills in what may be left out, such as a name, and reports what is
// wrong with the document by itself as KindInvalid. Apply checks references.
func (doc *Document) Validate() error { return doc.check().errIn(doc) }

func (doc *Document) check() problems {
	doc.complete()
	v := &validator{}
	if o := doc.Organization; o != nil {
		v.optional("organization.id", o.ID)
		v.optional("organization.name", o.Name)
		v.optional("organization.customer_attribute", o.CustomerAttribute)
	}
	v.meters(doc.Meters)
	v.products(doc.Products)
	v.units(doc.Units)
	v.customers(doc.Customers)
	v.entitlements(doc.Entitlements, doc.kept)
	return v.problems
}

// ValidateFor is Validate of a document that is meant for an organization.
func (doc *Document) ValidateFor(organization string) error {
	if err := doc.Validate(); err != nil {
		return err
	}
	if o := doc.Organization; o != nil && o.ID != "" && o.ID != organization {
		return problemAt("organization.id", "the document is not of this organization").err(doc.lines)
	}
	return nil
}

// complete names what has no name by its id.
func (doc *Document) complete() {
	for _, k := range kinds {
		if !k.about().own {
			k.complete(doc, nil)
			continue
		}
		for i := range doc.Customers {
			k.complete(doc, &doc.Customers[i])
		}
	}
	for i := range doc.Entitlements {
		for j := range doc.Entitlements[i].Dimensions {
			d := &doc.Entitlements[i].Dimensions[j]
			if d.Name == "" {
				d.Name = d.Key
			}
		}
	}
}

// validator collects what is wrong.
type validator struct{ problems problems }

// itemPlace is an item of a list, whose path is written out only where it is told:
// there may be a million.
type itemPlace struct {
	list string
	i    int
}

func (p itemPlace) String() string { return item(p.list, p.i) }

// named checks the id and the name of an item of a list.
func (v *validator) named(list string, i int, id, name string) {
	if meter.PlainText(id, MaxNounIDBytes) && meter.PlainText(name, MaxNounIDBytes) {
		return
	}
	v.text(item(list, i)+".id", id)
	v.text(item(list, i)+".name", name)
}

// item is the path of an item of a list.
func item(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// text checks an id or a name that must be there.
func (v *validator) text(path, s string) {
	if s == "" {
		v.problems.add(path, isRequired)
		return
	}
	v.optional(path, s)
}

func (v *validator) optional(path, s string) {
	if s != "" && !meter.PlainText(s, MaxNounIDBytes) {
		v.problems.add(path, "want at most %d bytes of UTF-8 without control characters", MaxNounIDBytes)
	}
}

// decimal checks an optional number that is not negative.
func (v *validator) decimal(path, s string) {
	if s == "" {
		return
	}
	q, err := meter.ParseQuantity(s)
	switch {
	case err != nil:
		v.problems.add(path, "%s", messageOf(err))
	case q.Sign() < 0:
		v.problems.add(path, "%q is negative", meter.Clip(s))
	}
}

func (v *validator) oneOf(path, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		v.problems.add(path, "%q: want one of %s", meter.Clip(s), strings.Join(allowed, ", "))
	}
}

func (v *validator) between(path string, n, low, high int) {
	if n < low || n > high {
		v.problems.add(path, "%d is not between %d and %d", n, low, high)
	}
}

func (v *validator) order(path string, starts, ends Date) {
	if !ends.IsZero() && !starts.Before(ends.Time) {
		v.problems.add(path+".ends", "is not after its start")
	}
}

// once checks that ids differ; the field of the second is what is wrong.
func once[T any, ID comparable](v *validator, path, field string, items []T, id func(T) ID) {
	onceAmong(v, make(map[ID]itemPlace, len(items)), path, field, items, id)
}

// onceAmong is once over several lists that share seen.
func onceAmong[T any, ID comparable](v *validator, seen map[ID]itemPlace, path, field string, items []T, id func(T) ID) {
	var none ID // is told of by itself
	for i, one := range items {
		if id(one) == none {
			continue
		}
		if first, ok := seen[id(one)]; ok {
			v.problems.addTwice(item(path, i)+"."+field, id(one), first)
			continue
		}
		seen[id(one)] = itemPlace{path, i}
	}
}

// listed checks the texts of a list.
func (v *validator) listed(path string, items []string) {
	seen := make(map[string]bool, len(items))
	for i, s := range items {
		if !meter.PlainText(s, MaxNounIDBytes) {
			v.text(item(path, i), s)
		}
		if seen[s] {
			v.problems.add(item(path, i), "%q is given twice", meter.Clip(s))
		}
		seen[s] = true
	}
}

func (v *validator) meters(meters []meter.Meter) {
	once(v, "meters", "key", meters, func(m meter.Meter) string { return m.Key })
	for i, m := range meters {
		if err := m.Validate(); err != nil {
			v.problems.add(item("meters", i), "%s", messageOf(err))
		}
	}
}

func (v *validator) products(products []Product) {
	once(v, "products", "id", products, func(p Product) string { return p.ID })
	for i, p := range products {
		at := item("products", i)
		v.text(at+".id", p.ID)
		v.text(at+".name", p.Name)
		once(v, at+".usage_types", "name", p.UsageTypes, func(u UsageType) string { return u.Name })
		list := at + ".usage_types"
		for j, u := range p.UsageTypes {
			if u.plain() {
				continue
			}
			at := item(list, j)
			v.text(at+".name", u.Name)
			v.text(at+".meter", u.Meter)
			v.optional(at+".unit", u.Unit)
			v.decimal(at+".scale", u.Scale)
			v.listed(at+".surfaces", u.Surfaces)
			for k, s := range u.Surfaces {
				v.oneOf(item(at+".surfaces", k), s, surfaceFastly, surfaceAkamai)
			}
		}
	}
}

// plain says that nothing is wrong with a usage type of the usual kind, of
// which there may be many.
func (u *UsageType) plain() bool {
	return meter.PlainText(u.Name, MaxNounIDBytes) && meter.PlainText(u.Meter, MaxNounIDBytes) &&
		(u.Unit == "" || meter.PlainText(u.Unit, MaxNounIDBytes)) && u.Scale == "" && len(u.Surfaces) == 0
}

func (v *validator) units(u *Units) {
	if u == nil {
		return
	}
	for name, m := range map[string]*UnitMeter{"cloud": u.Cloud, "enterprise": u.Enterprise} {
		if m != nil {
			v.text("units."+name+".meter", m.Meter)
		}
	}
	for _, name := range sortedKeys(u.Rates) {
		at, rate := "units.rates."+meter.Clip(name), u.Rates[name]
		v.optional(at, name)
		v.decimal(at+".cloud", rate.Cloud)
		v.decimal(at+".enterprise", rate.Enterprise)
		v.oneOf(at+".per", rate.Per, "", RatePerTimeout)
	}
}

func (v *validator) entitlements(entitlements []Entitlement, kept map[string]bool) {
	once(v, "entitlements", "id", entitlements, func(e Entitlement) string { return e.ID })
	for i, e := range entitlements {
		at := item("entitlements", i)
		v.text(at+".id", e.ID)
		v.text(at+".customer", e.Customer)
		v.text(at+".product", e.Product)
		v.oneOf(at+".partner", e.Partner, PartnerAWS, PartnerAzure, PartnerGCP)
		v.oneOf(at+".status", e.Status, EntitlementActive, entitlementSuspended, EntitlementCancelled)
		if e.Starts.IsZero() {
			v.problems.add(at+".starts", isRequired)
		}
		v.order(at, e.Starts, e.Ends)
		if e.Buyer != nil {
			v.text(at+".buyer.id", e.Buyer.ID)
		}
		once(v, at+".terms", "id", e.Terms, func(t EntitlementTerm) string { return t.ID })
		for j, t := range e.Terms {
			at := item(at+".terms", j)
			v.text(at+".id", t.ID)
			v.decimal(at+".commit", t.Commit)
			v.oneOf(at+".included_per", t.IncludedPer, "", "month", "term")
			v.order(at, t.Starts, t.Ends)
		}
		v.dimensions(at+".dimensions", e.Dimensions)
		if !kept[e.ID] {
			v.listing(at, e)
		}
	}
}

func (v *validator) dimensions(path string, dimensions []Dimension) {
	once(v, path, "key", dimensions, func(d Dimension) string { return d.Key })
	for i, d := range dimensions {
		if d.plain() {
			continue
		}
		at := item(path, i)
		v.text(at+".key", d.Key)
		v.text(at+".name", d.Name)
		v.decimal(at+".unit_price", d.UnitPrice)
		v.decimal(at+".list_price", d.ListPrice)
		v.decimal(at+".included", d.Included)
		v.decimal(at+".scale", d.Scale)
		if d.Meter == "" && (len(d.Where) > 0 || d.Scale != "") {
			v.problems.add(at+".meter", "is required where there is a where or a scale")
		}
	}
}

// plain is UsageType.plain of a dimension.
func (d *Dimension) plain() bool {
	if !meter.PlainText(d.Key, MaxNounIDBytes) || !meter.PlainText(d.Name, MaxNounIDBytes) || d.Meter == "" && (len(d.Where) > 0 || d.Scale != "") {
		return false
	}
	for _, s := range []string{d.UnitPrice, d.ListPrice, d.Included, d.Scale} {
		if s == "" {
			continue
		}
		if q, err := meter.ParseQuantity(s); err != nil || q.Sign() < 0 {
			return false
		}
	}
	return true
}

// listing checks that an entitlement speaks of its own partner only.
func (v *validator) listing(at string, e Entitlement) {
	for _, l := range []struct {
		field, partner string
		given          bool
	}{{"aws", PartnerAWS, e.AWS != nil}, {"azure", PartnerAzure, e.Azure != nil}, {"gcp", PartnerGCP, e.GCP != nil}} {
		if l.given && l.partner != e.Partner {
			v.problems.add(at+"."+l.field, "the partner is %s", meter.Clip(e.Partner))
		}
	}
	if e.AWS != nil {
		v.awsListing(at+".aws", e)
	}
	if a := e.Azure; a != nil {
		v.form(at+".azure.resource_id", a.ResourceID, azureResource, "a GUID, such as 7f2c6f7e-0000-4000-8000-000000000001")
		v.text(at+".azure.plan_id", a.PlanID)
	}
	if e.GCP != nil {
		v.gcpListing(at+".gcp", e)
	}
}

// setOf has the items of a list.
func setOf(items []string) map[string]bool {
	set := make(map[string]bool, len(items))
	for _, one := range items {
		set[one] = true
	}
	return set
}

// sortedKeys are a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
