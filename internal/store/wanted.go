package store

import (
	"context"
	"slices"

	"odometer/internal/catalog"
)

// ViewOf returns an organization's nouns as they are now: all of them, or, of
// an organization that has many, those that want names. It reads one number
// from the database, and nothing else that is held and has not changed.
func (s *Store) ViewOf(ctx context.Context, organization string, want catalog.Want) (*catalog.View, error) {
	number, nouns, err := s.nounsTotal(ctx, s.reader, organization)
	if err != nil {
		return nil, err
	}
	s.viewsMu.Lock()
	have, many := s.cache.whole(organization), s.many[organization]
	s.viewsMu.Unlock()
	if have != nil && have.number >= number {
		return have.view, nil
	}
	if !many {
		if view, err := s.wholeView(ctx, organization, number); view != nil || err != nil {
			return view, err
		}
	}
	g := &gathering{s: s, organization: organization, number: number}
	s.viewsMu.Lock()
	if s.cache.at(organization, number).number == number {
		view, err := g.view(ctx, want, nouns)
		if err != nil || view != nil {
			s.viewsMu.Unlock()
			return view, err
		}
	}
	s.viewsMu.Unlock()
	var view *catalog.View
	err = s.snapshot(ctx, "read the catalog", func(q executor) error {
		g := &gathering{s: s, q: q, organization: organization}
		if g.number, nouns, err = s.nounsTotal(ctx, q, organization); err != nil {
			return err
		}
		g.begin()
		view, err = g.view(ctx, want, nouns)
		return err
	})
	return view, err
}

func (s *Store) nounsTotal(ctx context.Context, q Queryer, organization string) (number int64, nouns int, err error) {
	err = q.QueryRowContext(ctx, stmt.NounsTotal, organization).Scan(&number, &nouns)
	return number, nouns, s.noOrganization(err, organization)
}

// gathering puts a view together of what is held, and of what a transaction
// reads that sees one change. Without one nothing is read, and s.viewsMu is held.
type gathering struct {
	s            *Store
	q            Queryer // nil = what is not held is missing
	organization string
	number       int64  // of the change that all is as of
	drops        uint64 // of what is held, when it was as of number
	apart        bool   // what is held is newer than what is read
	missing      bool
}

// begin sees whether what is held is as of what is read.
func (g *gathering) begin() {
	g.s.viewsMu.Lock()
	defer g.s.viewsMu.Unlock()
	o := g.s.cache.at(g.organization, g.number)
	g.drops, g.apart = o.drops, o.number != g.number
}

// view is that of what is wanted; nil if something is missing.
func (g *gathering) view(ctx context.Context, want catalog.Want, nouns int) (*catalog.View, error) {
	core, err := held(ctx, g, nounKey{what: cachedCore}, g.readCore)
	if err != nil || g.missing {
		return nil, err
	}
	ids := want.Customers
	for _, account := range want.Accounts {
		has, err := held(ctx, g, nounKey{catalog.LinkAccount, account}, g.readAccount)
		if err != nil || g.missing {
			return nil, err
		}
		ids = slices.Concat(ids, has)
	}
	for _, r := range want.Once {
		has, err := held(ctx, g, nounKey{r.Kind, r.ID}, g.readOwners)
		if err != nil || g.missing {
			return nil, err
		}
		ids = slices.Concat(ids, has)
	}
	parts, err := g.customers(ctx, nil, ids)
	if err != nil || g.missing {
		return nil, err
	}
	var linked []string
	for _, p := range parts {
		linked = append(linked, p.Linked()...)
	}
	if parts, err = g.customers(ctx, parts, linked); err != nil || g.missing {
		return nil, err
	}
	return core.With(parts, nouns), nil
}

// customers adds the parts of customers that are not there yet.
func (g *gathering) customers(ctx context.Context, parts []*catalog.CustomerPart, ids []string) ([]*catalog.CustomerPart, error) {
	seen := make(map[string]bool, len(parts)+len(ids))
	for _, p := range parts {
		seen[p.ID()] = true
	}
	var missing []string
	for _, id := range ids {
		if seen[id] || id == "" {
			continue
		}
		seen[id] = true
		if part, ok := g.get(nounKey{cachedCustomer, id}).(*catalog.CustomerPart); ok {
			parts = append(parts, part)
		} else if g.missing = g.q == nil; g.missing {
			return nil, nil
		} else {
			missing = append(missing, id)
		}
	}
	for some := range slices.Chunk(missing, mostAtOnce) {
		read, err := g.readCustomers(ctx, some)
		if err != nil {
			return nil, err
		}
		parts = append(parts, read...)
	}
	return parts, nil
}

// held returns what is held under a key, or reads it and holds it.
func held[T any](ctx context.Context, g *gathering, key nounKey, read func(ctx context.Context, id string) (T, int64, error)) (value T, err error) {
	value, ok := g.get(key).(T)
	if g.missing = !ok && g.q == nil; ok || g.missing {
		return value, nil
	}
	value, size, err := read(ctx, key.id)
	if err == nil {
		g.put(key, value, size)
	}
	return value, err
}

// get returns what is held under a key, if it is as of what is read.
func (g *gathering) get(key nounKey) any {
	c := g.s.cache
	if g.q != nil {
		g.s.viewsMu.Lock()
		defer g.s.viewsMu.Unlock()
		if g.apart || c.organization(g.organization).drops != g.drops {
			return nil
		}
	}
	value := c.get(g.organization, key)
	if value != nil {
		c.hits++
	}
	return value
}

// put holds what was read, unless something has changed since.
func (g *gathering) put(key nounKey, value any, size int64) {
	g.s.viewsMu.Lock()
	defer g.s.viewsMu.Unlock()
	c := g.s.cache
	c.misses++
	if !g.apart && c.organization(g.organization).drops == g.drops {
		c.put(g.organization, key, value, size)
	}
}

// readCore reads what is no customer's.
func (g *gathering) readCore(ctx context.Context, _ string) (*catalog.View, int64, error) {
	versions, err := List(ctx, g.q, scanVersion, stmt.NounsCore, g.organization)
	if err != nil {
		return nil, 0, err
	}
	uses := map[string]catalog.ProductUses{}
	_, err = List(ctx, g.q, func(r Row) (struct{}, error) {
		var product string
		var n catalog.ProductUses
		err := r.Scan(&product, &n.Contracts, &n.CPCodes)
		uses[product] = n
		return struct{}{}, err
	}, stmt.ProductUsesList, g.organization)
	if err != nil {
		return nil, 0, err
	}
	catalog.SortVersions(versions)
	core, err := catalog.NewCore(versions, uses)
	return core, sizeOf(versions) + int64(64*len(uses)), err
}

// readAccount reads which customers may have an account id.
func (g *gathering) readAccount(ctx context.Context, account string) ([]string, int64, error) {
	links, err := g.linksTo(ctx, catalog.LinkAccount, []string{account})
	var ids []string
	for _, l := range links {
		ids = append(ids, l.Customer)
	}
	return ids, sizeOfTexts(account, ids), err
}

// readOwners reads which customers have, or have had, what exists once under an id.
func (g *gathering) readOwners(ctx context.Context, id string) ([]string, int64, error) {
	ids, err := List(ctx, g.q, scanText, stmt.NounsOnceOwners, g.organization, id)
	return ids, sizeOfTexts(id, ids), err
}

func sizeOfTexts(key string, texts []string) int64 {
	n := int64(cachedBytes + len(key))
	for _, t := range texts {
		n += int64(16 + len(t))
	}
	return n
}

func (g *gathering) linksTo(ctx context.Context, kind string, targets []string) ([]catalog.Link, error) {
	statement, args := InList(stmt.LinksTo, 3, []any{g.organization, kind}, targets)
	return List(ctx, g.q, func(r Row) (catalog.Link, error) {
		l := catalog.Link{Kind: kind}
		return l, r.Scan(&l.Target, &l.Customer, &l.ID)
	}, statement, args...)
}

// mostAtOnce is how many ids one statement asks for.
const mostAtOnce = 256

// readCustomers reads customers, at most mostAtOnce, with what is their own, and
// what others have of the same: see catalog.NewCustomerPart.
func (g *gathering) readCustomers(ctx context.Context, ids []string) ([]*catalog.CustomerPart, error) {
	of := make(map[string][]catalog.Version, len(ids)) // by customer
	for _, text := range []string{stmt.NounsCustomers, stmt.NounsOwnOf} {
		versions, err := g.versions(ctx, text, ids)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			customer := v.Customer
			if v.Kind == catalog.NounCustomer {
				customer = v.ID
			}
			of[customer] = append(of[customer], v)
		}
	}
	links, err := g.linksTo(ctx, catalog.LinkBilled, ids)
	if err != nil {
		return nil, err
	}
	once := map[string][]string{} // by id: the customers whose parts have what has it
	var all []string
	add := func(id, customer string) {
		if once[id] == nil {
			all = append(all, id)
		}
		if !slices.Contains(once[id], customer) {
			once[id] = append(once[id], customer)
		}
	}
	for customer, own := range of {
		for i := range own {
			if catalog.ExistsOnce(own[i].Kind) {
				add(own[i].ID, customer)
			}
		}
	}
	for _, l := range links {
		add(l.ID, l.Target)
	}
	for some := range slices.Chunk(all, mostAtOnce) {
		versions, err := g.versions(ctx, stmt.NounsOnce, some)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			for _, customer := range once[v.ID] {
				if v.Customer != customer && v.Kind != catalog.NounAccountGroup {
					of[customer] = append(of[customer], v)
				}
			}
		}
	}
	parts := make([]*catalog.CustomerPart, len(ids))
	for i, id := range ids {
		if parts[i], err = catalog.NewCustomerPart(id, of[id]); err != nil {
			return nil, err
		}
		g.put(nounKey{cachedCustomer, id}, parts[i], sizeOf(of[id])+int64(len(id)))
	}
	return parts, nil
}

// versions reads those that a statement has of some ids.
func (g *gathering) versions(ctx context.Context, statement string, ids []string) ([]catalog.Version, error) {
	statement, args := InList(statement, 2, []any{g.organization}, ids)
	return List(ctx, g.q, scanVersion, statement, args...)
}

// CustomersAfter are the ids of customers that come after one, "" being none, in
// order, at most so many.
func (s *Store) CustomersAfter(ctx context.Context, organization, after string, most int) ([]string, error) {
	ids, err := List(ctx, s.reader, scanText, stmt.CustomersNext, organization, after, most)
	if err != nil {
		return nil, s.Fail(err, "cannot read the catalog")
	}
	return ids, nil
}

// AreCustomers says of ids which are customers' now.
func (s *Store) AreCustomers(ctx context.Context, organization string, ids []string) (map[string]bool, error) {
	are := make(map[string]bool, len(ids))
	for some := range slices.Chunk(ids, mostAtOnce) {
		statement, args := InList(stmt.CustomersNow, 2, []any{organization}, some)
		have, err := List(ctx, s.reader, scanText, statement, args...)
		if err != nil {
			return nil, s.Fail(err, "cannot read the catalog")
		}
		for _, id := range have {
			are[id] = true
		}
	}
	return are, nil
}
