package native

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/records"
)

// creditsPath is an entitlement's credit, which is no part of a document.
const creditsPath = "/api/v1/entitlements/{id}/credits"

var creditOperations = []operation{
	{http.MethodGet, creditsPath, []string{"limit", "cursor"}, api.credits},
	{http.MethodPost, creditsPath, nil, api.addCredit},
}

// credit is money that an entitlement was given, as it is answered.
type credit struct {
	Number int64         `json:"number"`
	Amount meter.Decimal `json:"amount"`
	Time   time.Time     `json:"time"`
	Actor  string        `json:"actor,omitempty"` // not told to a bound key
}

// credits answers GET of an entitlement's credits, the oldest first.
func (a api) credits(x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	found, err := a.records.Credits(x.Request.Context(), x.Principal, x.Param("id"), page)
	if err != nil {
		return err
	}
	list := make([]credit, len(found.Items))
	for i, c := range found.Items {
		list[i] = credit{c.Number, c.Amount, c.Time, c.Actor}
	}
	return writeList(x, "credits", list, found.Next)
}

// addCredit answers POST: credit only grows. Idempotency-Key makes sending it
// again safe.
func (a api) addCredit(x *httpserver.Exchange, _ query) error {
	var asked struct {
		Amount *meter.Decimal `json:"amount"`
	}
	if err := readJSON(x, &asked); err != nil {
		return err
	}
	if asked.Amount == nil {
		return meter.Errorf(meter.KindInvalid, "body: amount is required")
	}
	var once records.Idempotency
	key, err := x.IdempotencyKey()
	if err != nil {
		return err
	}
	if key != "" {
		sum := sha256.Sum256([]byte(x.Param("id") + "\n" + asked.Amount.String()))
		once = records.Idempotency{Key: key, Request: hex.EncodeToString(sum[:])}
	}
	c, err := a.records.AddCredit(x.Request.Context(), x.Principal, x.Param("id"), *asked.Amount, once)
	if err != nil {
		return err
	}
	return writeCreated(x, x.Request.URL.EscapedPath(), credit{c.Number, c.Amount, c.Time, c.Actor})
}
