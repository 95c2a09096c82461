package native

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
)

var periodOperations = []operation{
	{http.MethodGet, "/api/v1/periods", []string{"customer", "limit", "cursor"}, api.periods},
	{http.MethodPost, "/api/v1/periods", nil, api.closePeriod},
	{http.MethodGet, "/api/v1/periods/{customer}/{month}", nil, api.period},
}

// The standings of a period.
const (
	periodCollecting = "COLLECTING"
	periodFinalized  = "FINALIZED"
)

// periodBody is a customer's month as it is answered.
type periodBody struct {
	Customer string          `json:"customer"`
	Month    string          `json:"month"`
	Status   string          `json:"status"`
	Closed   time.Time       `json:"closed,omitzero"`
	Sequence uint64          `json:"sequence,omitempty"` // of the log, as of which the figures are
	Kept     *int            `json:"kept,omitempty"`     // figures of product usage; absent in lists, and where none were kept then
	Warning  string          `json:"warning,omitempty"`
	Figures  json.RawMessage `json:"figures,omitempty"` // by surface
}

// periodOf is a closed month as it is listed.
func periodOf(p catalog.Period) periodBody {
	return periodBody{Customer: p.Customer, Month: p.Month, Status: periodFinalized, Closed: p.Closed, Sequence: p.Sequence}
}

func periodsOf(list []catalog.Period) []periodBody {
	out := make([]periodBody, len(list))
	for i, p := range list {
		out[i] = periodOf(p)
	}
	return out
}

// keptOf is a closed month with what it has kept, and a warning if that is nothing.
func keptOf(p catalog.Period) (periodBody, error) {
	body := periodOf(p)
	n, ok, err := metering.KeptFigures(p)
	if ok {
		if body.Kept = &n; n == 0 {
			body.Warning = "nothing is kept: no usage type of the catalog's products has usage of this customer in " + p.Month
		}
	}
	return body, err
}

// periods answers GET /api/v1/periods: a customer's closed months.
func (a api) periods(x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	customer := q.text("customer")
	if customer == "" {
		if customer = x.Principal.Customer; customer == "" {
			return meter.Errorf(meter.KindInvalid, "customer is missing")
		}
	}
	list, err := a.service.Periods(x.Request.Context(), x.Principal, customer, page)
	if err != nil {
		return err
	}
	return writeList(x, "periods", periodsOf(list.Items), list.Next)
}

// closePeriod answers POST /api/v1/periods: 201 with what was closed, of one customer.
func (a api) closePeriod(x *httpserver.Exchange, _ query) error {
	var in struct {
		Customer *string `json:"customer" strict:"filled"` // absent = all for whom the month is open
		Month    string  `json:"month"`
	}
	if err := readJSON(x, &in); err != nil {
		return err
	}
	if in.Customer == nil {
		return a.closeMonth(x, in.Month)
	}
	p, err := a.service.ClosePeriod(x.Request.Context(), x.Principal, *in.Customer, in.Month)
	if err != nil {
		return err
	}
	body, err := keptOf(p)
	if err != nil {
		return err
	}
	return writeCreated(x, "/api/v1/periods/"+url.PathEscape(p.Customer)+"/"+p.Month, map[string]any{"periods": []periodBody{body}})
}

// period answers GET /api/v1/periods/{customer}/{month} with the figures.
func (a api) period(x *httpserver.Exchange, _ query) error {
	customer, month := x.Param("customer"), x.Param("month")
	p, closed, err := a.service.Period(x.Request.Context(), x.Principal, customer, month)
	if err != nil {
		return err
	}
	if !closed {
		return writeJSON(x, http.StatusOK, periodBody{Customer: customer, Month: month, Status: periodCollecting})
	}
	body, err := keptOf(p)
	if err != nil {
		return err
	}
	body.Figures = p.Figures
	return writeJSON(x, http.StatusOK, body)
}
