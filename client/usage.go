package client

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// UsageQuery asks for usage in [From, To).
type UsageQuery struct {
	From, To time.Time
	Window   string // 5m, 15m, hour, day, week, month or year; "" = one row for the whole range
	TimeZone string // IANA; "" = UTC
	GroupBy  []string
	// Filters keeps usage whose attribute has one of the values; filters on
	// several attributes all hold.
	Filters  map[string][]string
	AsOf     time.Time // zero = now
	FillZero bool      // windows without usage are rows too
	Sort     string    // "-value" = the rows of the largest values, at most 1,000 and without further pages; "" = by start and group
	Limit    int       // rows in one page; 0 = the server's
	Cursor   string    // NextCursor of the page before
}

func (q UsageQuery) values() url.Values {
	v := url.Values{}
	setTime(v, "from", q.From)
	setTime(v, "to", q.To)
	setText(v, "window", q.Window)
	setText(v, "tz", q.TimeZone)
	for _, g := range q.GroupBy {
		v.Add("group_by", g)
	}
	for attribute, values := range q.Filters {
		v["filter["+attribute+"]"] = values
	}
	setTime(v, "as_of", q.AsOf)
	if q.FillZero {
		v.Set("fill", "zero")
	}
	setText(v, "sort", q.Sort)
	setNumber(v, "limit", q.Limit)
	setText(v, "cursor", q.Cursor)
	return v
}

// Usage is one page of usage.
type Usage struct {
	Rows []UsageRow `json:"rows"`
	// Total is the aggregation over the whole range, ungrouped, as a decimal;
	// "" where there was nothing to aggregate.
	Total    string `json:"total"`
	Source   string `json:"source"` // cells or events; both are exact
	Sequence uint64 `json:"sequence"`
	Unit     string `json:"unit"` // the meter's
	// ClosedMonths says which calendar months of the range are closed, and for
	// whom. Meter usage stays by event time all the same.
	ClosedMonths []ClosedMonth `json:"closed_months"`
	// Skipped is how many events the meter could not take, at any time, and
	// why; nil if none, or if the key is bound to a customer.
	Skipped *SkippedEvents `json:"skipped"`
	// Hints say what may be wrong with a question that finds nothing.
	Hints      []string `json:"hints"`
	NextCursor string   `json:"next_cursor"` // "" at the end
}

// SkippedEvents are those that a meter could not take.
type SkippedEvents struct {
	Events uint64 `json:"events"`
	Reason string `json:"reason"`
}

// ClosedMonth is a calendar month that is closed for customers.
type ClosedMonth struct {
	Month     string   `json:"month"` // such as 2026-01
	Customers []string `json:"customers"`
	More      bool     `json:"more"` // and for others
}

// UsageRow is the usage of one group in one window.
type UsageRow struct {
	Start   time.Time         `json:"start"`
	End     time.Time         `json:"end"`
	Group   map[string]string `json:"group"`
	Value   string            `json:"value"`   // a decimal
	Clipped bool              `json:"clipped"` // the window reaches beyond the asked range
}

// next is the part of a page that tells where the next one begins.
type next struct {
	NextCursor string `json:"next_cursor"` // "" at the end
}

// Usage returns one page of a meter's usage, with the total of all pages.
func (c *Client) Usage(ctx context.Context, meter string, q UsageQuery) (*Usage, error) {
	u := new(Usage)
	if err := c.do(ctx, call{method: http.MethodGet, path: usagePath(meter), query: q.values()}, u); err != nil {
		return nil, err
	}
	return u, nil
}

// UsageRows yields a meter's usage ordered by start, then group, fetching
// page after page. It ends after the first error.
func (c *Client) UsageRows(ctx context.Context, meter string, q UsageQuery) iter.Seq2[UsageRow, error] {
	return pages(ctx, c, usagePath(meter), q.values(), func(u Usage) ([]UsageRow, string) { return u.Rows, u.NextCursor })
}

func usagePath(meter string) string { return "/api/v1/meters/" + url.PathEscape(meter) + "/usage" }

// pages yields the items of a list page by page.
func pages[P, T any](ctx context.Context, c *Client, path string, query url.Values, open func(P) ([]T, string)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := maps.Clone(query)
		for {
			var page P
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: q}, &page); err != nil {
				var zero T
				yield(zero, err)
				return
			}
			items, cursor := open(page)
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if cursor == "" {
				return
			}
			q.Set("cursor", cursor)
		}
	}
}

func setText(v url.Values, name, text string) {
	if text != "" {
		v.Set(name, text)
	}
}

func setTime(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.Format(time.RFC3339Nano))
	}
}

func setNumber(v url.Values, name string, n int) {
	if n > 0 {
		v.Set(name, strconv.Itoa(n))
	}
}
