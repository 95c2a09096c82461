package billing

import (
	"odometer/internal/meter"
	"time"
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
