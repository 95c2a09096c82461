package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"odometer/internal/catalog"
)

// touched is what a change leaves out of date of what is held by key.
type touched struct {
	number int64 // of the nouns after the change
	all    bool  // everything
	keys   map[nounKey]bool
}

// mostTouched is how many nouns a change may concern that what it touches is
// looked for one by one.
const mostTouched = 256

// noteChanges keeps beside the nouns what some changes of them bring, and tells
// that they have changed.
func (s *Store) noteChanges(ctx context.Context, tx *sql.Tx, organization string, changes []catalog.Change) error {
	noted, err := catalog.NotedOf(changes)
	if err != nil {
		return err
	}
	var links, uses []any
	for _, l := range noted.Links {
		links = append(links, organization, l.Kind, l.Target, l.Customer, l.ID)
	}
	for product, n := range noted.Uses {
		uses = append(uses, organization, product, n.Contracts, n.CPCodes)
	}
	if err := s.insertAll(ctx, tx, stmt.LinkAdd, 5, links); err != nil {
		return err
	}
	if err := s.insertAll(ctx, tx, stmt.ProductUsesAdd, 4, uses); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmt.NounsChanged, organization, noted.Nouns)
	return err
}

// touchedBy is what changes of an organization's nouns touch, in the
// transaction that has made them.
func touchedBy(ctx context.Context, tx *sql.Tx, organization string, changes []catalog.Change) (*touched, error) {
	t := &touched{keys: map[nounKey]bool{}, all: len(changes) > mostTouched}
	if err := tx.QueryRowContext(ctx, stmt.NounsVersion, organization).Scan(&t.number); err != nil || t.all {
		return t, err
	}
	noted, err := catalog.NotedOf(changes)
	if err != nil {
		return nil, err
	}
	if len(noted.Uses) > 0 {
		t.keys[nounKey{what: cachedCore}] = true
	}
	for i := range changes {
		if err := t.add(ctx, tx, organization, &changes[i]); err != nil || t.all {
			return t, err
		}
	}
	return t, nil
}

func (t *touched) customer(id string) { t.keys[nounKey{cachedCustomer, id}] = true }

func (t *touched) add(ctx context.Context, tx *sql.Tx, organization string, c *catalog.Change) error {
	switch {
	case c.Noun == catalog.NounCustomer:
		t.customer(c.ID)
	case c.Customer != "":
		t.customer(c.Customer)
	default:
		t.keys[nounKey{what: cachedCore}] = true
	}
	switch c.Noun {
	case catalog.NounCustomer:
		for _, body := range [][]byte{c.Before, c.After} {
			var of struct {
				AccountID string `json:"account_id"`
			}
			if body == nil {
				continue
			}
			if err := json.Unmarshal(body, &of); err != nil {
				return err
			}
			t.keys[nounKey{catalog.LinkAccount, of.AccountID}] = true
		}
	case catalog.NounContract: // any of its versions may be the last one now
		named, err := List(ctx, tx, scanText, stmt.LinksOf, organization, c.Customer, c.ID)
		if err != nil {
			return err
		}
		for _, other := range named {
			t.customer(other)
		}
	}
	if !catalog.ExistsOnce(c.Noun) {
		return nil
	}
	t.keys[nounKey{c.Noun, c.ID}] = true
	owners, err := List(ctx, tx, scanText, stmt.NounsOnceOwners, organization, c.ID)
	t.all = len(owners) > 1 // others have had it, and their parts may say whose it is now
	return err
}
