package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Period is a customer's calendar month that is closed: its figures never change.
type Period struct {
	Customer string    `json:"customer"`
	Month    string    `json:"month"`  // such as 2026-10
	Status   string    `json:"status"` // FINALIZED
	Closed   time.Time `json:"closed"`
	Sequence uint64    `json:"sequence"` // of the log, as of which the figures are
	Kept     *int      `json:"kept"`     // figures of product usage; nil where it is not said
	Warning  string    `json:"warning"`
}

// Closing is the closing of a month for all customers. It goes on after it was begun.
type Closing struct {
	ID        string    `json:"id"`
	Month     string    `json:"month"`
	Status    string    `json:"status"`    // WAITING RUNNING DONE FAILED
	Customers int       `json:"customers"` // whose month was open when it began
	Closed    int       `json:"closed"`
	Failed    int       `json:"failed"`
	Sequence  uint64    `json:"sequence"` // of the log, as of which all figures are
	Created   time.Time `json:"created"`
	Begun     time.Time `json:"begun"`
	Ended     time.Time `json:"ended"` // zero while it goes on
	Error     string    `json:"error"` // why the first month that was not closed was not
}

// ClosePeriod closes a customer's month for ever. A month that is closed is Conflict.
func (c *Client) ClosePeriod(ctx context.Context, customer, month string) (Period, error) {
	var out struct {
		Periods []Period `json:"periods"`
	}
	k := call{method: http.MethodPost, path: "/api/v1/periods", once: true}
	if err := c.json(ctx, k, map[string]string{"customer": customer, "month": month}, &out); err != nil || len(out.Periods) == 0 {
		return Period{}, err
	}
	return out.Periods[0], nil
}

// CloseMonth begins to close a month for all customers for whom it is open, or
// returns the closing of it that is under way.
func (c *Client) CloseMonth(ctx context.Context, month string) (Closing, error) {
	var out Closing
	err := c.json(ctx, call{method: http.MethodPost, path: "/api/v1/periods"}, map[string]string{"month": month}, &out)
	return out, err
}

// Closing returns a closing with its progress.
func (c *Client) Closing(ctx context.Context, id string) (Closing, error) {
	var out Closing
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/v1/closings/" + url.PathEscape(id)}, &out)
	return out, err
}

// closingPause is how long WaitClosing waits before it asks again.
const closingPause = time.Second

// WaitClosing waits until a closing has ended, and returns it. Each progress is
// told to tell, which may be nil.
func (c *Client) WaitClosing(ctx context.Context, id string, tell func(Closing)) (Closing, error) {
	for {
		now, err := c.Closing(ctx, id)
		if err != nil || !now.Ended.IsZero() {
			return now, err
		}
		if tell != nil {
			tell(now)
		}
		if err := c.pause(ctx, closingPause); err != nil {
			return now, err
		}
	}
}
