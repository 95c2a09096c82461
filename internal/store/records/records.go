// Package records keeps usage record groups and what becomes of them: reports
// with their portions and lines, balances, credit, billable metrics, and the
// state of the reporter.
package records

import (
	"odometer/internal/store"
)

// Store has the usage record groups of a catalog and what becomes of them.
// Its methods may be called concurrently.
type Store struct{ db *store.Store }

// New returns those of an open catalog.
func New(db *store.Store) *Store { return &Store{db} }
