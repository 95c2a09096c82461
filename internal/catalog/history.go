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

// Always is the first instant of a noun's first version.
const Always = math.MinInt64

// Forever is the end of a version that holds now.
const Forever = math.MaxInt64

// compareKeys orders as kinds, then by customer and id, numbers as such.
func compareKeys(a, b NounRef) int {
	if a.Kind != b.Kind {
		if c := cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(a.Customer, b.Customer); c != 0 {
		return c
	}
	return compareIDs(a, b)
}

func compareIDs(a, b NounRef) int {
	if k, ok := kindOf(a.Kind); ok && k.about().numbered {
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
	if doc.Units != nil {
		f.add(NounUnits, "", NounUnits, doc.Units)
	}
	for _, k := range kinds {
		if k.about().own {
			for i := range doc.Customers {
				f.addEach(k, doc, &doc.Customers[i], doc.Customers[i].ID)
			}
		} else {
			f.addEach(k, doc, nil, "")
		}
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

func (f *flattener) addEach(k kind, doc *Document, c *Customer, customer string) {
	k.each(doc, c, func(id string, noun any) {
		if c, ok := noun.(*Customer); ok {
			alone := c.alone()
			noun = &alone
		}
		f.add(k.about().name, customer, id, noun)
	})
}

// alone is the customer without what is its own.
func (c Customer) alone() Customer {
	for _, k := range kinds {
		if k.about().own {
			k.clear(&c)
		}
	}
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
				return r, meter.Errorf(meter.KindCorrupt, "the catalog is damaged: %s %s belongs to no customer", v.Kind, v.Path())
			}
			r.customers[i] = of
		}
		if v.Kind == NounCustomer {
			customers[v.ID] = len(r.doc.Customers)
		}
		if err := r.read(v, i); err != nil {
			return r, meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: %s %s cannot be read", v.Kind, v.Path())
		}
	}
	return r, nil
}

// customer is whose own the noun of version i is.
func (r *readNouns) customer(i int) *Customer { return &r.doc.Customers[r.customers[i]] }

func (r *readNouns) read(v Version, i int) error {
	if v.Kind == NounUnits {
		return json.Unmarshal([]byte(v.Body), &r.doc.Units)
	}
	k, ok := kindOf(v.Kind)
	var c *Customer
	if !ok || k.about().own {
		if r.customers[i] < 0 {
			return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q that is nobody's own", v.Kind)
		}
		c = r.customer(i)
	}
	if !ok {
		return meter.Errorf(meter.KindCorrupt, "there is no kind of noun %q", v.Kind)
	}
	r.body = append(r.body[:0], v.Body...) // a copy of each body would be garbage at once
	var err error
	r.at[i], err = k.extend(r.doc, c, r.body)
	return err
}
