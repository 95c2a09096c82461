package records

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// AddCredit gives an entitlement, which must be there now, money. With an
// idempotency key that was used before it returns the credit given then.
func (s *Store) AddCredit(ctx context.Context, organization, entitlement string, amount meter.Decimal, once billing.Idempotency, actor string) (billing.Credit, error) {
	c := billing.Credit{Entitlement: entitlement, Amount: amount, Time: s.db.Now(), Actor: actor}
	if err := errors.Join(checkCredit(amount), once.Validate(), catalog.CheckActor(actor)); err != nil {
		return billing.Credit{}, err
	}
	err := s.db.Write(ctx, "add the credit", func(tx *sql.Tx) error {
		var number int64
		had, err := s.repeated(ctx, tx, organization, once, &number)
		if err != nil {
			return err
		}
		if had {
			c, err = scanCredit(tx.QueryRowContext(ctx, stmt.CreditGet, organization, entitlement, number))
			return err
		}
		has, err := store.HasNoun(ctx, tx, organization, catalog.NounRef{Kind: catalog.NounEntitlement, ID: entitlement})
		if err != nil {
			return err
		}
		if !has {
			return meter.Errorf(meter.KindNotFound, "no entitlement %q", meter.Clip(entitlement))
		}
		if err := tx.QueryRowContext(ctx, stmt.CreditNumber, organization, entitlement).Scan(&c.Number); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.CreditCreate, organization, entitlement, c.Number, amount.String(), store.Micros(c.Time), actor); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, organization, once, c.Number); err != nil {
			return err
		}
		id := entitlement + "/" + strconv.FormatInt(c.Number, 10)
		return s.db.Audit(ctx, tx, store.Entry{Organization: organization, Actor: actor, Action: catalog.AuditCreate, Noun: "credit", ID: id, After: c})
	})
	if err != nil {
		return billing.Credit{}, err
	}
	c.Entitlement = entitlement
	return c, nil
}

// Credits lists an entitlement's credits, the oldest first. An unknown
// organization or entitlement has none.
func (s *Store) Credits(ctx context.Context, organization, entitlement string, page catalog.Page) (billing.CreditPage, error) {
	limit, err := page.Bound(s.db.Limits().PageSize)
	if err != nil {
		return billing.CreditPage{}, err
	}
	after := int64(0)
	if page.Cursor != "" {
		after, err = strconv.ParseInt(page.Cursor, 10, 64)
		if err != nil || after <= 0 || strconv.FormatInt(after, 10) != page.Cursor {
			return billing.CreditPage{}, catalog.ErrCursor()
		}
	}
	items, err := store.List(ctx, s.db.Reader(), scanCredit, stmt.CreditList, organization, entitlement, after, limit+1)
	if err != nil {
		return billing.CreditPage{}, s.db.Fail(err, "cannot list credits")
	}
	for i := range items {
		items[i].Entitlement = entitlement
	}
	var out billing.CreditPage
	out.Items, out.Next = catalog.Cut(items, limit, func(c billing.Credit) string { return strconv.FormatInt(c.Number, 10) })
	return out, nil
}

func scanCredit(r store.Row) (billing.Credit, error) {
	var c billing.Credit
	var amount string
	var at sql.NullInt64
	if err := r.Scan(&c.Number, &amount, &at, &c.Actor); err != nil {
		return c, err
	}
	c.Time = store.FromMicros(at)
	var err error
	c.Amount, err = meter.ParseDecimal(amount)
	return c, err
}

func checkCredit(amount meter.Decimal) error {
	if _, err := meter.ParseQuantity(amount.String()); err != nil || amount.Sign() <= 0 {
		return meter.Errorf(meter.KindInvalid, "the amount of a credit is above 0, with at most %d digits before the point and %d after it",
			billing.MaxCreditDigits, meter.QuotientPlaces)
	}
	return nil
}
