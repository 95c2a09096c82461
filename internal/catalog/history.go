package catalog

import (
	"bytes"
	"cmp"
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

// Always is the first instant of a noun's first version.
const Always = math.MinInt64

// Forever is the end of a version that holds now.
const Forever = math.MaxInt64

// compareKeys orders as nounOrder, then by customer and id, numbers as such.
func compareKeys(a, b NounRef) int {
	return cmp.Or(
		cmp.Compare(slices.Index(nounOrder, a.Kind), slices.Index(nounOrder, b.Kind)),
		cmp.Compare(a.Customer, b.Customer), compareIDs(a, b))
}

func compareIDs(a, b NounRef) int {
	if a.Kind == NounCPCode || a.Kind == NounReportingGroup {
		x, _ := strconv.ParseInt(a.ID, 10, 64)
		y, _ := strconv.ParseInt(b.ID, 10, 64)
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a.ID, b.ID)
}

// Version is a noun as it was in [From, To), in microseconds since 1970.
type Version struct {
	NounRef
	From, To int64
	Body     string // JSON
}

// SortVersions puts versions in order: that in which changes of nouns are made,
// then of customers and ids, then of time.
func SortVersions(versions []Version) {
	slices.SortFunc(versions, func(a, b Version) int {
		return cmp.Or(compareKeys(a.NounRef, b.NounRef), cmp.Compare(a.From, b.From))
	})
}

// current says whether the version holds now.
func (v Version) current() bool { return v.To == Forever }

// fromBound is the first instant of a version, zero for always.
func fromBound(us int64) time.Time {
	if us == Always {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// toBound is the end of a version, zero for none.
func toBound(us int64) time.Time {
	if us == Forever {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// flatten visits a document's nouns with the bodies that are stored, each of
// which is valid until the next.
func flatten(doc *Document, visit func(k NounRef, body []byte)) error {
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
	visit   func(k NounRef, body []byte)
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
	f.visit(NounRef{kind, customer, id}, bytes.TrimSuffix(f.body.Bytes(), []byte{'\n'}))
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
// now, which are in the order of SortVersions.
func documentOf(versions []Version) (*Document, error) {
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

func readVersions(versions []Version) (*readNouns, error) {
	r := &readNouns{doc: &Document{}, customers: make([]int, len(versions)), at: make([]int, len(versions))}
	customers := map[string]int{}
	for i, v := range versions {
		r.customers[i], r.at[i] = -1, -1
		if !v.current() {
			continue
		}
		if v.Customer != "" {
			of, ok := customers[v.Customer]
			if !ok {
				return r, meter.Errorf(meter.KindCorrupt, "the catalogue is damaged: %s %s belongs to no customer", v.Kind, v.Path())
			}
			r.customers[i] = of
		}
		if v.Kind == NounCustomer {
			customers[v.ID] = len(r.doc.Customers)
		}
		if err := r.read(v, i); err != nil {
			return r, meter.WrapError(meter.KindCorrupt, err, "the catalogue is damaged: %s %s cannot be read", v.Kind, v.Path())
		}
	}
	return r, nil
}

// customer is whose own the noun of version i is.
func (r *readNouns) customer(i int) *Customer { return &r.doc.Customers[r.customers[i]] }

func (r *readNouns) read(v Version, i int) error {
	switch v.Kind {
	case NounProduct:
		return extend(r, &r.doc.Products, v, i)
	case NounUnits:
		return json.Unmarshal([]byte(v.Body), &r.doc.Units)
	case NounCustomer:
		return extend(r, &r.doc.Customers, v, i)
	case NounEntitlement:
		return extend(r, &r.doc.Entitlements, v, i)
	}
	if r.customers[i] < 0 {
		return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q that is nobody's own", v.Kind)
	}
	c := r.customer(i)
	switch v.Kind {
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
	return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q", v.Kind)
}

// extend adds a version's noun to a list.
func extend[T any](r *readNouns, items *[]T, v Version, i int) error {
	var none T
	*items = append(*items, none)
	r.at[i] = len(*items) - 1
	r.body = append(r.body[:0], v.Body...) // a copy of each body would be garbage at once
	return json.Unmarshal(r.body, &(*items)[r.at[i]])
}
