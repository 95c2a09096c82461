package native

import (
	"net/http"
	"strconv"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/httpserver"
)

var closingOperations = []operation{
	{http.MethodGet, "/api/v1/closings", []string{"limit", "cursor"}, api.closings},
	{http.MethodGet, "/api/v1/closings/{id}", nil, api.closing},
}

// closingBody is a job that closes a month for all customers, as it is answered.
type closingBody struct {
	ID        string                 `json:"id"`
	Month     string                 `json:"month"`
	Status    catalog.CloseJobStatus `json:"status"`
	Customers int                    `json:"customers"` // whose month was open when it began
	Closed    int                    `json:"closed"`
	Failed    int                    `json:"failed"`
	Sequence  uint64                 `json:"sequence,omitempty"` // of the log, as of which all figures are
	Created   time.Time              `json:"created"`
	Begun     time.Time              `json:"begun,omitzero"`
	Ended     time.Time              `json:"ended,omitzero"`
	Error     string                 `json:"error,omitempty"`
}

func closingOf(j catalog.CloseJob) closingBody {
	return closingBody{ID: strconv.FormatInt(j.ID, 10), Month: j.Month, Status: j.Status(), Customers: j.Customers, Closed: j.Closed, Failed: j.Failed,
		Sequence: j.Sequence, Created: j.Created, Begun: j.Begun, Ended: j.Ended, Error: j.Error}
}

// closeMonth answers POST /api/v1/periods for all customers: 202 with the job.
func (a api) closeMonth(x *httpserver.Exchange, month string) error {
	job, err := a.service.CloseMonth(x.Request.Context(), x.Principal, month)
	if err != nil {
		return err
	}
	body := closingOf(job)
	x.Header().Set("Location", "/api/v1/closings/"+body.ID)
	return writeJSON(x, http.StatusAccepted, body)
}

// closings answers GET /api/v1/closings.
func (a api) closings(x *httpserver.Exchange, q query) error {
	page, err := q.page()
	if err != nil {
		return err
	}
	list, err := a.service.CloseJobs(x.Request.Context(), x.Principal, page)
	if err != nil {
		return err
	}
	bodies := make([]closingBody, len(list.Items))
	for i, j := range list.Items {
		bodies[i] = closingOf(j)
	}
	return writeList(x, "closings", bodies, list.Next)
}

// closing answers GET /api/v1/closings/{id}.
func (a api) closing(x *httpserver.Exchange, _ query) error {
	job, err := a.service.CloseJob(x.Request.Context(), x.Principal, x.Param("id"))
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, closingOf(job))
}
