package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// TakeAccounts makes an organization the one that bills the accounts of
// entitlements, and returns why it may not, by entitlement: an operator does not
// let it, or the account is another organization's. Those that it may report have no entry.
func (s *Store) TakeAccounts(ctx context.Context, organization string, entitlements []*catalog.Entitlement) (map[string]error, error) {
	held, err := List(ctx, s.reader, func(r Row) (string, error) {
		var account string
		return account, r.Scan(&account)
	}, stmt.AccountOf, organization)
	if err != nil {
		return nil, s.Fail(err, "cannot read who bills an account")
	}
	mine := map[string]bool{}
	for _, account := range held {
		mine[account] = true
	}
	refused, may := map[string]error{}, map[[2]string]bool{}
	var fresh []*catalog.Entitlement
	for _, e := range entitlements {
		key := [2]string{e.Partner, e.Listing()}
		if _, known := may[key]; !known {
			if may[key], err = s.MayReport(ctx, organization, key[0], key[1]); err != nil {
				return nil, err
			}
		}
		switch {
		case !may[key]:
			refused[e.ID] = errListing(organization, e)
		case !mine[e.Account()]:
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return refused, nil
	}
	err = s.Write(ctx, "take the accounts of entitlements", func(tx *sql.Tx) error {
		taker := s.taker(tx, organization)
		for _, e := range fresh {
			if err := taker.take(ctx, e, true); err != nil && meter.KindOf(err) == meter.KindConflict {
				refused[e.ID] = err
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return refused, err
}

// Refused says why an organization may not report an entitlement, as
// TakeAccounts does, and takes nothing; nil if it may.
func (s *Store) Refused(ctx context.Context, organization string, e *catalog.Entitlement) (refused, err error) {
	may, err := s.MayReport(ctx, organization, e.Partner, e.Listing())
	switch {
	case err != nil:
		return nil, err
	case !may:
		return errListing(organization, e), nil
	}
	err = s.taker(s.reader, organization).take(ctx, e, false)
	if err != nil && meter.KindOf(err) == meter.KindConflict {
		return err, nil
	}
	if err != nil {
		return nil, s.Fail(err, "cannot read who bills an account")
	}
	return nil, nil
}

func errListing(organization string, e *catalog.Entitlement) error {
	return meter.Errorf(meter.KindForbidden, "entitlement %s: organization %s may not report to the %s listing %s: an operator has to allow it",
		meter.Clip(e.ID), organization, e.Partner, meter.Clip(e.Listing()))
}

// executor reads and writes.
type executor interface {
	Queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// accountTaker takes accounts for one organization.
type accountTaker struct {
	s            *Store
	q            executor
	organization string
	theirs       map[string]map[string]bool // accounts of the entitlements of other organizations
}

func (s *Store) taker(q executor, organization string) *accountTaker {
	return &accountTaker{s, q, organization, map[string]map[string]bool{}}
}

// take checks that no other organization bills the account of an entitlement,
// and, for good, notes that this one does.
func (t *accountTaker) take(ctx context.Context, e *catalog.Entitlement, forGood bool) error {
	var holder string
	err := t.q.QueryRowContext(ctx, stmt.AccountHolder, e.Account()).Scan(&holder)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if holder == t.organization {
		return nil
	}
	if holder != "" {
		holds, err := t.holds(ctx, holder, e)
		if err != nil {
			return err
		}
		if holds {
			return meter.Errorf(meter.KindConflict, "entitlement %s: the marketplace account %s is billed by another organization", meter.Clip(e.ID), meter.Clip(e.Account()))
		}
	}
	if !forGood {
		return nil
	}
	_, err = t.q.ExecContext(ctx, stmt.AccountTake, e.Account(), t.organization, Micros(t.s.Now()))
	return err
}

// holds says whether another organization may still report the listing of an
// entitlement and has one of the same account itself.
func (t *accountTaker) holds(ctx context.Context, holder string, e *catalog.Entitlement) (bool, error) {
	may, err := mayReport(ctx, t.q, holder, e.Partner, e.Listing())
	if err != nil || !may {
		return false, err
	}
	if t.theirs[holder] == nil {
		accounts, err := List(ctx, t.q, scanAccount, stmt.EntitlementsOf, holder)
		if err != nil {
			return false, err
		}
		t.theirs[holder] = map[string]bool{}
		for _, account := range accounts {
			t.theirs[holder][account] = true
		}
	}
	return t.theirs[holder][e.Account()], nil
}

func scanAccount(r Row) (string, error) {
	var text string
	var e catalog.Entitlement
	if err := r.Scan(&text); err != nil {
		return "", err
	}
	err := json.Unmarshal([]byte(text), &e)
	return e.Account(), err
}

// takeAccounts takes the accounts of the entitlements that a plan changes and
// that the organization may report; a dry run checks them only. An entitlement
// that it may not report bills nobody, and is in nobody's way.
func (s *Store) takeAccounts(ctx context.Context, q executor, p *catalog.Plan, dry bool) error {
	may, taker := map[[2]string]bool{}, s.taker(q, p.Old.ID)
	for i := range p.Diff.Changes {
		c := &p.Diff.Changes[i]
		if c.Noun != catalog.NounEntitlement || c.After == nil {
			continue
		}
		var e catalog.Entitlement
		if err := json.Unmarshal(c.After, &e); err != nil {
			return err
		}
		key := [2]string{e.Partner, e.Listing()}
		if key[1] == "" {
			continue
		}
		if _, known := may[key]; !known {
			var err error
			if may[key], err = mayReport(ctx, q, p.Old.ID, key[0], key[1]); err != nil {
				return err
			}
		}
		if !may[key] {
			continue
		}
		if err := taker.take(ctx, &e, !dry); err != nil {
			return err
		}
	}
	return nil
}
