package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"odometer/internal/meter"
)

// Named is what a document names: the nouns that it has, of which a state needs
// all versions, and what their references and ids may lead to.
type Named struct {
	Nouns                             int // that the document has
	Products, Customers, Entitlements []string
	Units                             bool
	Licences                          bool // what is billed by a licence is compared with all entitlements

	UsedProducts, UsedCustomers []string // that the document itself does not have
	Accounts                    []string // account ids
	Once                        []string // ids that exist once, and contracts that may be others'
}

// Names returns what the document names, each once.
func (doc *Document) Names() (Named, error) {
	n := Named{Units: doc.Units != nil}
	once, products, customers := map[string]bool{}, map[string]bool{}, map[string]bool{}
	err := flatten(doc, func(r NounRef, _ []byte) {
		n.Nouns++
		switch r.Kind {
		case NounProduct:
			n.Products = append(n.Products, r.ID)
		case NounCustomer:
			n.Customers = append(n.Customers, r.ID)
		case NounEntitlement:
			n.Entitlements = append(n.Entitlements, r.ID)
		}
		if ExistsOnce(r.Kind) {
			once[r.ID] = true
		}
	})
	for i := range doc.Customers {
		c := &doc.Customers[i]
		if c.AccountID != "" {
			n.Accounts = append(n.Accounts, c.AccountID)
		}
		for _, k := range c.Contracts {
			for _, id := range k.Customers {
				customers[id] = true
			}
			for _, t := range k.Terms {
				for _, id := range t.Products {
					products[id] = true
				}
			}
		}
		for _, code := range c.CPCodes {
			once[code.Contract] = true
			products[code.Product] = true
		}
	}
	for i := range doc.Entitlements {
		e := &doc.Entitlements[i]
		products[e.Product], customers[e.Customer] = true, true
		n.Licences = n.Licences || e.AWS != nil && e.AWS.LicenseARN != ""
	}
	n.UsedProducts, n.UsedCustomers = without(products, n.Products), without(customers, n.Customers)
	n.Once = without(once, nil)
	return n, err
}

// without are the keys of a set but for some, in order.
func without(set map[string]bool, some []string) []string {
	for _, id := range some {
		delete(set, id)
	}
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}

// Beside is what an organization has now beside the nouns of a state, as far as
// a document names it.
type Beside struct {
	Nouns               int       // how many there are
	Products, Customers []string  // that there are
	Others              []Version // of other customers: those who have account ids, and nouns that exist once
}

// NewStateOf is NewState of what a document names: versions has all of the
// nouns that it has and of all that is those customers' own, and beside what its
// references and ids lead to. The state is for applying that document without
// pruning, and for nothing else.
func NewStateOf(o Organization, meters map[string]meter.Meter, versions []Version, beside Beside) (*State, error) {
	state, err := NewState(o, meters, versions)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, v := range versions {
		named[v.ID] = named[v.ID] || v.Kind == NounCustomer
	}
	state.beside = beside
	state.beside.Others = nil
	for _, v := range beside.Others {
		if !v.current() || named[v.owner()] {
			continue
		}
		state.beside.Others = append(state.beside.Others, v)
	}
	return state, nil
}

// owner is the customer whose own a noun is, a customer's itself.
func (v Version) owner() string {
	if v.Kind == NounCustomer {
		return v.ID
	}
	return v.Customer
}

// add adds to what references may lead to what is beside a document.
func (b *Beside) add(s *scope) error {
	for _, id := range b.Products {
		s.products[id] = true
	}
	for _, id := range b.Customers {
		if s.customers[id] == nil {
			s.customers[id] = &customerScope{}
		}
	}
	for _, v := range b.Others {
		if err := s.addOther(v); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: %s %s cannot be read", v.Kind, v.Path())
		}
	}
	return nil
}

// addOther adds what another customer has.
func (s *scope) addOther(v Version) error {
	if k, ok := kindOf(v.Kind); ok && k.about().numbered {
		id, err := strconv.ParseInt(v.ID, 10, 64)
		switch v.Kind {
		case NounCPCode:
			s.codes[id] = append(s.codes[id], v.Customer)
		case NounReportingGroup:
			s.groups[id] = append(s.groups[id], v.Customer)
		}
		return err
	}
	switch v.Kind {
	case NounCustomer:
		var of Customer
		err := json.Unmarshal([]byte(v.Body), &of)
		if of.AccountID != "" { // else it has had one
			s.accounts[of.AccountID] = append(s.accounts[of.AccountID], v.ID)
		}
		return err
	case NounAccountGroup:
		s.aids[v.ID] = append(s.aids[v.ID], v.Customer)
	case NounContract:
		s.contracts[v.ID] = append(s.contracts[v.ID], v.Customer)
		var of Contract
		if err := json.Unmarshal([]byte(v.Body), &of); err != nil {
			return err
		}
		for _, id := range of.Customers {
			if own := s.customers[id]; own != nil && own.billed != nil {
				own.billed[v.ID] = true
			}
		}
	}
	return nil
}
