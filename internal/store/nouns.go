package store

import (
	"context"
	"database/sql"

	"odometer/internal/catalog"
)

// loadNouns reads all versions of an organization's nouns, in the order of
// SortVersions.
func loadNouns(ctx context.Context, q Queryer, organization string) ([]catalog.Version, error) {
	var kind, customer string // are the same text in most rows
	versions, err := List(ctx, q, func(r Row) (catalog.Version, error) {
		v, err := scanVersion(r)
		if v.Kind == kind {
			v.Kind = kind
		}
		if v.Customer == customer {
			v.Customer = customer
		}
		kind, customer = v.Kind, v.Customer
		return v, err
	}, stmt.NounList, organization)
	if err != nil {
		return nil, err
	}
	catalog.SortVersions(versions)
	return versions, nil
}

func scanVersion(r Row) (catalog.Version, error) {
	var v catalog.Version
	var to sql.NullInt64
	err := r.Scan(&v.Kind, &v.Customer, &v.ID, &v.From, &to, &v.Body)
	v.To = catalog.Forever
	if to.Valid {
		v.To = to.Int64
	}
	return v, err
}

// nounColumns is how many parameters stmt.NounCreate has.
const nounColumns = 6

// HasNoun says whether there is a noun now.
func HasNoun(ctx context.Context, q Queryer, organization string, r catalog.NounRef) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, stmt.NounCurrent, organization, r.Kind, r.Customer, r.ID).Scan(&n)
	return n > 0, err
}

// maxEnded is how many nouns are ended with one statement.
const maxEnded = 64

// endVersions makes nouns of one kind and customer, at most maxEnded of them,
// not hold from an instant on, whatever was planned for later.
func endVersions(ctx context.Context, tx *sql.Tx, organization string, k catalog.NounRef, ids []string, at int64) error {
	args := []any{organization, k.Kind, k.Customer, at}
	n := 1
	for n < len(ids) { // few forms of the statement: an id may be there twice
		n *= 2
	}
	for i := range n {
		args = append(args, ids[min(i, len(ids)-1)])
	}
	for _, statement := range []string{stmt.NounSupersede, stmt.NounEnd} {
		if _, err := tx.ExecContext(ctx, RepeatIn(statement, 5, n), args...); err != nil {
			return err
		}
	}
	return nil
}
