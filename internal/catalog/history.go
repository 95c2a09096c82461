package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"odometer/internal/meter"
)

// The kinds of nouns, as AuditEntry.Noun and Change.Noun name them too.
const (
	NounProduct        = "product"
	NounUnits          = "units"
	NounCustomer       = "customer"
	NounService        = "service"
	NounContract       = "contract"
	NounCPCode         = "cp_code"
	NounReportingGroup = "reporting_group"
	NounAccountGroup   = "account_group"
	NounAgent          = "agent"
	NounTest           = "test"
	NounEntitlement    = "entitlement"
)

// nounOrder is the order in which changes are made and told.
var nounOrder = []string{NounProduct, NounUnits, NounCustomer, NounService, NounContract, NounCPCode,
	NounReportingGroup, NounAccountGroup, NounAgent, NounTest, NounEntitlement}

// always is the first instant of a noun's first version.
const always = math.MinInt64

// forever is the end of a version that holds now.
const forever = math.MaxInt64

// nounKey names a noun of an organization.
type nounKey struct{ kind, customer, id string }

// String is the noun in audit entries: its id, after that of its customer.
func (k nounKey) String() string {
	if k.customer == "" {
		return k.id
	}
	return k.customer + "/" + k.id
}

// compareKeys orders as nounOrder, then by customer and id, numbers as such.
func compareKeys(a, b nounKey) int {
	return cmp.Or(
		cmp.Compare(slices.Index(nounOrder, a.kind), slices.Index(nounOrder, b.kind)),
		cmp.Compare(a.customer, b.customer), compareIDs(a, b))
}

func compareIDs(a, b nounKey) int {
	if a.kind == NounCPCode || a.kind == NounReportingGroup {
		x, _ := strconv.ParseInt(a.id, 10, 64)
		y, _ := strconv.ParseInt(b.id, 10, 64)
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a.id, b.id)
}

// version is a noun as it was in [from, to), in microseconds since 1970.
type version struct {
	nounKey
	from, to int64
	body     string // JSON
}

// current says whether the version holds now.
func (v version) current() bool { return v.to == forever }

// loadNouns reads all versions of an organization's nouns, in the order of
// compareKeys and then of time.
func loadNouns(ctx context.Context, q queryer, organization string) ([]version, error) {
	versions, err := list(ctx, q, scanVersion, stmt.NounList, organization)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(versions, func(a, b version) int {
		return cmp.Or(compareKeys(a.nounKey, b.nounKey), cmp.Compare(a.from, b.from))
	})
	return versions, nil
}

func scanVersion(r row) (version, error) {
	var v version
	var to sql.NullInt64
	err := r.Scan(&v.kind, &v.customer, &v.id, &v.from, &to, &v.body)
	v.to = forever
	if to.Valid {
		v.to = to.Int64
	}
	return v, err
}

// fromBound is the first instant of a version, zero for always.
func fromBound(us int64) time.Time {
	if us == always {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// toBound is the end of a version, zero for none.
func toBound(us int64) time.Time {
	if us == forever {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// flatten returns a document's nouns as the bodies that are stored.
func flatten(doc *Document) (map[nounKey]string, error) {
	f := flattener{bodies: map[nounKey]string{}}
	for _, p := range doc.Products {
		f.add(NounProduct, "", p.ID, p)
	}
	if doc.Units != nil {
		f.add(NounUnits, "", NounUnits, doc.Units)
	}
	for i := range doc.Customers {
		f.customer(&doc.Customers[i])
	}
	for _, e := range doc.Entitlements {
		f.add(NounEntitlement, "", e.ID, e)
	}
	return f.bodies, f.err
}

type flattener struct {
	bodies map[nounKey]string
	err    error
}

func (f *flattener) add(kind, customer, id string, noun any) {
	body, err := json.Marshal(noun)
	f.bodies[nounKey{kind, customer, id}] = string(body)
	f.err = cmp.Or(f.err, err)
}

func (f *flattener) customer(c *Customer) {
	f.add(NounCustomer, "", c.ID, c.alone())
	for _, n := range c.Services {
		f.add(NounService, c.ID, n.ID, n)
	}
	for _, n := range c.Contracts {
		f.add(NounContract, c.ID, n.ID, n)
	}
	for _, n := range c.CPCodes {
		f.add(NounCPCode, c.ID, strconv.FormatInt(n.ID, 10), n)
	}
	for _, n := range c.ReportingGroups {
		f.add(NounReportingGroup, c.ID, strconv.FormatInt(n.ID, 10), n)
	}
	for _, n := range c.AccountGroups {
		f.add(NounAccountGroup, c.ID, n.AID, n)
	}
	for _, n := range c.Agents {
		f.add(NounAgent, c.ID, n.ID, n)
	}
	for _, n := range c.Tests {
		f.add(NounTest, c.ID, n.ID, n)
	}
}

// alone is the customer without what is its own.
func (c Customer) alone() Customer {
	c.Services, c.Contracts, c.CPCodes, c.ReportingGroups = nil, nil, nil, nil
	c.AccountGroups, c.Agents, c.Tests = nil, nil, nil
	return c
}

// documentOf is the reverse of flatten: the document of the versions that hold
// now, which are in the order of loadNouns.
func documentOf(versions []version) (*Document, error) {
	doc := &Document{}
	customers := map[string]int{}
	for _, v := range versions {
		if !v.current() {
			continue
		}
		var c *Customer
		if v.customer != "" {
			i, ok := customers[v.customer]
			if !ok {
				return nil, meter.Errorf(meter.KindCorrupt, "the catalogue is damaged: %s %s belongs to no customer", v.kind, v.nounKey)
			}
			c = &doc.Customers[i]
		}
		var err error
		switch v.kind {
		case NounProduct:
			err = extend(&doc.Products, v)
		case NounUnits:
			err = json.Unmarshal([]byte(v.body), &doc.Units)
		case NounCustomer:
			customers[v.id] = len(doc.Customers)
			err = extend(&doc.Customers, v)
		case NounEntitlement:
			err = extend(&doc.Entitlements, v)
		default:
			err = c.extend(v)
		}
		if err != nil {
			return nil, meter.WrapError(meter.KindCorrupt, err, "the catalogue is damaged: %s %s cannot be read", v.kind, v.nounKey)
		}
	}
	return doc, nil
}

// extend adds a version's noun to the customer.
func (c *Customer) extend(v version) error {
	switch v.kind {
	case NounService:
		return extend(&c.Services, v)
	case NounContract:
		return extend(&c.Contracts, v)
	case NounCPCode:
		return extend(&c.CPCodes, v)
	case NounReportingGroup:
		return extend(&c.ReportingGroups, v)
	case NounAccountGroup:
		return extend(&c.AccountGroups, v)
	case NounAgent:
		return extend(&c.Agents, v)
	case NounTest:
		return extend(&c.Tests, v)
	}
	return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q", v.kind)
}

func extend[T any](items *[]T, v version) error {
	var noun T
	err := json.Unmarshal([]byte(v.body), &noun)
	*items = append(*items, noun)
	return err
}

// nounColumns is how many parameters stmt.NounCreate has.
const nounColumns = 6

// replaceVersion makes a body hold from an instant on, whatever was planned
// for later, of a noun that had versions before.
func replaceVersion(ctx context.Context, tx *sql.Tx, organization string, k nounKey, from int64, body string) error {
	if err := endVersion(ctx, tx, organization, k, from); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, stmt.NounCreate, organization, k.kind, k.customer, k.id, from, body)
	return err
}

// endVersion makes a noun not hold from an instant on.
func endVersion(ctx context.Context, tx *sql.Tx, organization string, k nounKey, at int64) error {
	if _, err := tx.ExecContext(ctx, stmt.NounSupersede, organization, k.kind, k.customer, k.id, at); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, stmt.NounEnd, organization, k.kind, k.customer, k.id, at)
	return err
}
