package native

import (
	"net/http"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

var unattributedOperations = []operation{
	{http.MethodGet, "/api/v1/unattributed", []string{"from", "to", "limit", "cursor"}, api.unattributed},
}

// unattributedRow is usage that leads to nothing in the catalog.
type unattributedRow struct {
	Reason   string        `json:"reason"`
	Customer string        `json:"customer"`
	Value    string        `json:"value"` // of the attribute that reason names
	Meter    string        `json:"meter"`
	Quantity meter.Decimal `json:"quantity"`
	Start    time.Time     `json:"start"`
	End      time.Time     `json:"end"`
}

// unattributed answers GET /api/v1/unattributed.
func (a api) unattributed(x *httpserver.Exchange, q query) error {
	from, to, err := q.span()
	if err == nil {
		err = q.require("from", "to")
	}
	if err != nil {
		return err
	}
	limit, err := q.limit()
	if err != nil {
		return err
	}
	page, err := a.service.UnattributedPage(x.Request.Context(), x.Principal, metering.UnattributedQuery{In: meter.Period{From: from, To: to}, Limit: limit, Cursor: q.text("cursor")})
	if err != nil {
		return err
	}
	answer := struct {
		Rows       []unattributedRow `json:"rows"`
		NextCursor *string           `json:"next_cursor"`
	}{Rows: []unattributedRow{}}
	for _, u := range page.Rows {
		answer.Rows = append(answer.Rows, unattributedRow{u.Reason, u.Customer, u.Value, u.Meter, u.Quantity, u.Period.From, u.Period.To})
	}
	if page.NextCursor != "" {
		answer.NextCursor = &page.NextCursor
	}
	return writeJSON(x, http.StatusOK, answer)
}
