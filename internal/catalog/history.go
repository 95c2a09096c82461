package catalog

import (
	"bytes"
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
	var kind, customer string // are the same text in most rows
	versions, err := list(ctx, q, func(r row) (version, error) {
		v, err := scanVersion(r)
		if v.kind == kind {
			v.kind = kind
		}
		if v.customer == customer {
			v.customer = customer
		}
		kind, customer = v.kind, v.customer
		return v, err
	}, stmt.NounList, organization)
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

// flatten visits a document's nouns with the bodies that are stored, each of
// which is valid until the next.
func flatten(doc *Document, visit func(k nounKey, body []byte)) error {
	f := flattener{visit: visit}
	f.encoder = json.NewEncoder(&f.body)
	for i := range doc.Products {
		f.add(NounProduct, "", doc.Products[i].ID, &doc.Products[i])
	}
	if doc.Units != nil {
		f.add(NounUnits, "", NounUnits, doc.Units)
	}
	for i := range doc.Customers {
		f.customer(&doc.Customers[i])
	}
	for i := range doc.Entitlements {
		f.add(NounEntitlement, "", doc.Entitlements[i].ID, &doc.Entitlements[i])
	}
	return f.err
}

type flattener struct {
	visit   func(k nounKey, body []byte)
	body    bytes.Buffer
	encoder *json.Encoder
	err     error
}

func (f *flattener) add(kind, customer, id string, noun any) {
	f.body.Reset()
	if err := f.encoder.Encode(noun); err != nil {
		f.err = cmp.Or(f.err, err)
		return
	}
	f.visit(nounKey{kind, customer, id}, bytes.TrimSuffix(f.body.Bytes(), []byte{'\n'}))
}

func (f *flattener) customer(c *Customer) {
	alone := c.alone()
	f.add(NounCustomer, "", c.ID, &alone)
	addEach(f, NounService, c, c.Services, func(n *Service) string { return n.ID })
	addEach(f, NounContract, c, c.Contracts, func(n *Contract) string { return n.ID })
	addEach(f, NounCPCode, c, c.CPCodes, func(n *CPCode) string { return strconv.FormatInt(n.ID, 10) })
	addEach(f, NounReportingGroup, c, c.ReportingGroups, func(n *ReportingGroup) string { return strconv.FormatInt(n.ID, 10) })
	addEach(f, NounAccountGroup, c, c.AccountGroups, func(n *AccountGroup) string { return n.AID })
	addEach(f, NounAgent, c, c.Agents, func(n *Agent) string { return n.ID })
	addEach(f, NounTest, c, c.Tests, func(n *Test) string { return n.ID })
}

func addEach[T any](f *flattener, kind string, c *Customer, nouns []T, id func(*T) string) {
	for i := range nouns {
		f.add(kind, c.ID, id(&nouns[i]), &nouns[i])
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
	r, err := readVersions(versions)
	return r.doc, err
}

// readNouns are the nouns of versions that hold now.
type readNouns struct {
	doc       *Document
	customers []int // position of the customer of each version; -1 = none
	at        []int // position of each version in its list; -1 = it does not hold now
	body      []byte
}

func readVersions(versions []version) (*readNouns, error) {
	r := &readNouns{doc: &Document{}, customers: make([]int, len(versions)), at: make([]int, len(versions))}
	customers := map[string]int{}
	for i, v := range versions {
		r.customers[i], r.at[i] = -1, -1
		if !v.current() {
			continue
		}
		if v.customer != "" {
			of, ok := customers[v.customer]
			if !ok {
				return r, meter.Errorf(meter.KindCorrupt, "the catalogue is damaged: %s %s belongs to no customer", v.kind, v.nounKey)
			}
			r.customers[i] = of
		}
		if v.kind == NounCustomer {
			customers[v.id] = len(r.doc.Customers)
		}
		if err := r.read(v, i); err != nil {
			return r, meter.WrapError(meter.KindCorrupt, err, "the catalogue is damaged: %s %s cannot be read", v.kind, v.nounKey)
		}
	}
	return r, nil
}

// customer is whose own the noun of version i is.
func (r *readNouns) customer(i int) *Customer { return &r.doc.Customers[r.customers[i]] }

func (r *readNouns) read(v version, i int) error {
	switch v.kind {
	case NounProduct:
		return extend(r, &r.doc.Products, v, i)
	case NounUnits:
		return json.Unmarshal([]byte(v.body), &r.doc.Units)
	case NounCustomer:
		return extend(r, &r.doc.Customers, v, i)
	case NounEntitlement:
		return extend(r, &r.doc.Entitlements, v, i)
	}
	if r.customers[i] < 0 {
		return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q that is nobody's own", v.kind)
	}
	c := r.customer(i)
	switch v.kind {
	case NounService:
		return extend(r, &c.Services, v, i)
	case NounContract:
		return extend(r, &c.Contracts, v, i)
	case NounCPCode:
		return extend(r, &c.CPCodes, v, i)
	case NounReportingGroup:
		return extend(r, &c.ReportingGroups, v, i)
	case NounAccountGroup:
		return extend(r, &c.AccountGroups, v, i)
	case NounAgent:
		return extend(r, &c.Agents, v, i)
	case NounTest:
		return extend(r, &c.Tests, v, i)
	}
	return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q", v.kind)
}

// extend adds a version's noun to a list.
func extend[T any](r *readNouns, items *[]T, v version, i int) error {
	var none T
	*items = append(*items, none)
	r.at[i] = len(*items) - 1
	r.body = append(r.body[:0], v.body...) // a copy of each body would be garbage at once
	return json.Unmarshal(r.body, &(*items)[r.at[i]])
}

// nounColumns is how many parameters stmt.NounCreate has.
const nounColumns = 6

// maxEnded is how many nouns are ended with one statement.
const maxEnded = 64

// endVersions makes nouns of one kind and customer, at most maxEnded of them,
// not hold from an instant on, whatever was planned for later.
func endVersions(ctx context.Context, tx *sql.Tx, organization string, k nounKey, ids []string, at int64) error {
	args := []any{organization, k.kind, k.customer, at}
	n := 1
	for n < len(ids) { // few forms of the statement: an id may be there twice
		n *= 2
	}
	for i := range n {
		args = append(args, ids[min(i, len(ids)-1)])
	}
	for _, statement := range []string{stmt.NounSupersede, stmt.NounEnd} {
		if _, err := tx.ExecContext(ctx, repeatIn(statement, 5, n), args...); err != nil {
			return err
		}
	}
	return nil
}
