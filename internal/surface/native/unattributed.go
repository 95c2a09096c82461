package native

import (
	"net/http"
	"time"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
)

var unattributedOperations = []operation{
	{http.MethodGet, "/api/v1/unattributed", []string{"from", "to"}, api.unattributed},
}

// maxUnattributed is how many rows an answer has; the rest is counted.
const maxUnattributed = 10_000

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
	found, err := a.service.Unattributed(x.Request.Context(), x.Principal, meter.Period{From: from, To: to})
	if err != nil {
		return err
	}
	left := max(0, len(found)-maxUnattributed)
	rows := []unattributedRow{}
	for _, u := range found[:len(found)-left] {
		rows = append(rows, unattributedRow{u.Reason, u.Customer, u.Value, u.Meter, u.Quantity, u.Period.From, u.Period.To})
	}
	return writeJSON(x, http.StatusOK, map[string]any{"rows": rows, "rows_left_out": left})
}
