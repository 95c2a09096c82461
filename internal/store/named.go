package store

import (
	"context"
	"slices"

	"odometer/internal/catalog"
)

// mostNamed is how many times as many nouns as a document has are read
// altogether before only those that it names are: reading all of them takes
// about a fifth of the time for each.
const mostNamed = 4

// readFor reads what a change needs: all nouns, or those that a document names
// and that others have of what it names, if that is few of them.
func (s *Store) readFor(ctx context.Context, q Queryer, organization string, named *catalog.Named) (*catalog.State, error) {
	if named == nil {
		return s.readState(ctx, q, organization)
	}
	_, nouns, err := s.nounsTotal(ctx, q, organization)
	if err != nil {
		return nil, err
	}
	if nouns <= s.mostNamed*named.Nouns {
		return s.readState(ctx, q, organization)
	}
	return s.readNamed(ctx, q, organization, nouns, named)
}

// readNamed reads the state of what a document names.
func (s *Store) readNamed(ctx context.Context, q Queryer, organization string, nouns int, named *catalog.Named) (*catalog.State, error) {
	o, meters, err := readHead(ctx, q, organization)
	if err != nil {
		return nil, err
	}
	r := namedReader{q: q, organization: organization}
	versions := r.versions(ctx, named)
	beside := catalog.Beside{Nouns: nouns}
	for i := range versions {
		if versions[i].To == catalog.Forever {
			beside.Nouns--
		}
	}
	beside.Products = r.now(ctx, catalog.NounProduct, named.UsedProducts)
	beside.Customers = r.now(ctx, catalog.NounCustomer, named.UsedCustomers)
	beside.Others = append(r.accounts(ctx, named.Accounts), r.each(ctx, stmt.NounsOnce, nil, named.Once)...)
	if r.err != nil {
		return nil, r.err
	}
	catalog.SortVersions(versions)
	return catalog.NewStateOf(o, meters, versions, beside)
}

// namedReader reads nouns by their names, until there is an error.
type namedReader struct {
	q            Queryer
	organization string
	err          error
}

// versions are those of the nouns that a document has, of its customers with all
// that is their own.
func (r *namedReader) versions(ctx context.Context, named *catalog.Named) []catalog.Version {
	customers := r.named(ctx, catalog.NounCustomer, named.Customers)
	known := make([]string, len(customers)) // a customer that is new has nothing
	for i := range customers {
		known[i] = customers[i].ID
	}
	slices.Sort(known)
	known = slices.Compact(known)
	versions := slices.Concat(customers, r.each(ctx, stmt.NounsOwnOf, nil, known), r.named(ctx, catalog.NounProduct, named.Products))
	if named.Units {
		versions = append(versions, r.named(ctx, catalog.NounUnits, []string{catalog.NounUnits})...)
	}
	if !named.Licences {
		return append(versions, r.named(ctx, catalog.NounEntitlement, named.Entitlements)...)
	}
	all := r.list(ctx, stmt.NounsOfKind, r.organization, catalog.NounEntitlement)
	return append(versions, all...)
}

// named are the versions of nouns of a kind that is no customer's own.
func (r *namedReader) named(ctx context.Context, kind string, ids []string) []catalog.Version {
	return r.each(ctx, stmt.NounsNamed, []any{kind}, ids)
}

// each lists what a statement has of ids, its last parameter, many at a time.
func (r *namedReader) each(ctx context.Context, statement string, more []any, ids []string) []catalog.Version {
	var out []catalog.Version
	for some := range slices.Chunk(ids, mostAtOnce) {
		text, args := InList(statement, 2+len(more), append([]any{r.organization}, more...), some)
		out = append(out, r.list(ctx, text, args...)...)
	}
	return out
}

func (r *namedReader) list(ctx context.Context, statement string, args ...any) []catalog.Version {
	if r.err != nil {
		return nil
	}
	versions, err := List(ctx, r.q, scanVersion, statement, args...)
	r.err = err
	return versions
}

// now says which nouns of a kind there are.
func (r *namedReader) now(ctx context.Context, kind string, ids []string) []string {
	return r.texts(ctx, stmt.NounsNow, scanText, kind, ids)
}

// accounts are the customers that have account ids, or have had one.
func (r *namedReader) accounts(ctx context.Context, accounts []string) []catalog.Version {
	owners := r.texts(ctx, stmt.LinksTo, func(row Row) (string, error) {
		var target, customer, contract string
		err := row.Scan(&target, &customer, &contract)
		return customer, err
	}, catalog.LinkAccount, accounts)
	slices.Sort(owners)
	return r.named(ctx, catalog.NounCustomer, slices.Compact(owners))
}

// texts lists what a statement has of ids of a kind.
func (r *namedReader) texts(ctx context.Context, statement string, scan func(Row) (string, error), kind string, ids []string) []string {
	var out []string
	for some := range slices.Chunk(ids, mostAtOnce) {
		if r.err != nil {
			return nil
		}
		text, args := InList(statement, 3, []any{r.organization, kind}, some)
		var found []string
		found, r.err = List(ctx, r.q, scan, text, args...)
		out = append(out, found...)
	}
	return out
}
