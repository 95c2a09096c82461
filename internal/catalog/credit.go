package catalog

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"odometer/internal/meter"
)

// MaxCreditDigits bounds the digits of a credit before the point; after it
// there are at most meter.QuotientPlaces.
const MaxCreditDigits = 26

// Credit is money that an entitlement was given once. It is no part of a
// document: it is added to and never taken back.
type Credit struct {
	Entitlement string        `json:"entitlement"`
	Number      int64         `json:"number"` // 1, 2, 3, ... within the entitlement
	Amount      meter.Decimal `json:"amount"` // above 0
	Time        time.Time     `json:"time"`
	Actor       string        `json:"actor"`
}

// CreditPage is a part of an entitlement's credits, the oldest first.
type CreditPage struct {
	Items []Credit
	Next  string // Page.Cursor of what follows; "" at the end
}

// AddCredit gives an entitlement, which must be there now, money. With an
// idempotency key that was used before it returns the credit given then.
func (s *Store) AddCredit(ctx context.Context, organization, entitlement string, amount meter.Decimal, once Idempotency, actor string) (Credit, error) {
	c := Credit{Entitlement: entitlement, Amount: amount, Time: s.now(), Actor: actor}
	if err := errors.Join(checkCredit(amount), once.validate(), checkActor(actor)); err != nil {
		return Credit{}, err
	}
	err := s.write(ctx, "add the credit", func(tx *sql.Tx) error {
		var number int64
		had, err := s.repeated(ctx, tx, organization, once, &number)
		if err != nil {
			return err
		}
		if had {
			c, err = scanCredit(tx.QueryRowContext(ctx, stmtRecords.CreditGet, organization, entitlement, number))
			return err
		}
		var have int
		if err := tx.QueryRowContext(ctx, stmt.NounCurrent, organization, NounEntitlement, "", entitlement).Scan(&have); err != nil {
			return err
		}
		if have == 0 {
			return meter.Errorf(meter.KindNotFound, "no entitlement %q", clip(entitlement))
		}
		if err := tx.QueryRowContext(ctx, stmtRecords.CreditNumber, organization, entitlement).Scan(&c.Number); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmtRecords.CreditCreate, organization, entitlement, c.Number, amount.String(), micros(c.Time), actor); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, organization, once, c.Number); err != nil {
			return err
		}
		id := entitlement + "/" + strconv.FormatInt(c.Number, 10)
		return s.audit(ctx, tx, change{organization: organization, actor: actor, action: AuditCreate, noun: "credit", id: id, after: c})
	})
	if err != nil {
		return Credit{}, err
	}
	c.Entitlement = entitlement
	return c, nil
}

func checkCredit(amount meter.Decimal) error {
	if _, err := meter.ParseQuantity(amount.String()); err != nil || amount.Sign() <= 0 {
		return meter.Errorf(meter.KindInvalid, "the amount of a credit is above 0, with at most %d digits before the point and %d after it",
			MaxCreditDigits, meter.QuotientPlaces)
	}
	return nil
}

// Credits lists an entitlement's credits, the oldest first. An unknown
// organization or entitlement has none.
func (s *Store) Credits(ctx context.Context, organization, entitlement string, page Page) (CreditPage, error) {
	limit, err := page.limit(s.limits.PageSize)
	if err != nil {
		return CreditPage{}, err
	}
	after := int64(0)
	if page.Cursor != "" {
		after, err = strconv.ParseInt(page.Cursor, 10, 64)
		if err != nil || after <= 0 || strconv.FormatInt(after, 10) != page.Cursor {
			return CreditPage{}, errCursor()
		}
	}
	items, err := list(ctx, s.reader, scanCredit, stmtRecords.CreditList, organization, entitlement, after, limit+1)
	if err != nil {
		return CreditPage{}, s.fail(err, "cannot list credits")
	}
	for i := range items {
		items[i].Entitlement = entitlement
	}
	var out CreditPage
	out.Items, out.Next = cut(items, limit, func(c Credit) string { return strconv.FormatInt(c.Number, 10) })
	return out, nil
}

func scanCredit(r row) (Credit, error) {
	var c Credit
	var amount string
	var at sql.NullInt64
	if err := r.Scan(&c.Number, &amount, &at, &c.Actor); err != nil {
		return c, err
	}
	c.Time = fromMicros(at)
	var err error
	c.Amount, err = meter.ParseDecimal(amount)
	return c, err
}
