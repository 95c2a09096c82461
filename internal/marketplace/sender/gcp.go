package sender

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	gcpOperation = "odometer usage"
	gcpParallel  = 8 // operations in flight; one is sent in each request
)

// The types of a GCP metric.
const (
	gcpInt64  = "INT64"
	GCPDouble = "DOUBLE"
)

// GCP sends to Google's Service Control API: a check, then a report of one
// operation, whose id makes a repeat the same operation.
type GCP struct {
	calls *gcpCalls
}

var _ Sender = (*GCP)(nil)

// NewGCP returns a sender for the Service Control API at endpoint, which is a
// URL or a host with https; without tokens its calls are unauthenticated.
func NewGCP(endpoint string, token TokenSource, client *http.Client) (*GCP, error) {
	calls, err := newGCPCalls(endpoint, token, client)
	if err != nil {
		return nil, err
	}
	return &GCP{calls: calls}, nil
}

// Send sends each line as an operation of its own: a request that holds one
// bad metric is refused whole.
func (s *GCP) Send(ctx context.Context, lines []Line) []Result {
	results := make([]Result, len(lines))
	var running sync.WaitGroup
	free := make(chan struct{}, gcpParallel)
	for i := range lines {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			results[i] = s.send(ctx, lines[i])
		})
	}
	running.Wait()
	return results
}

// Reconcile sends the operations again under the same ids.
func (s *GCP) Reconcile(ctx context.Context, lines []Line) []Result { return s.Send(ctx, lines) }

// gcpOf is the operation of a line; false if its quantity is not of the
// metric's type. A double is made of the decimal here and nowhere else.
func gcpOf(l Line) (*gcpOperationBody, bool) {
	value := gcpMetricValue{}
	if l.GCP.Type == GCPDouble {
		double, err := strconv.ParseFloat(l.Quantity.String(), 64)
		if err != nil {
			return nil, false
		}
		value.DoubleValue = &double
	} else {
		whole, exact := l.Quantity.Int64()
		if !exact {
			return nil, false
		}
		value.Int64Value = &whole
	}
	start := l.Hour.UTC()
	return &gcpOperationBody{
		OperationID: l.OperationID, OperationName: gcpOperation, ConsumerID: l.GCP.ConsumerID,
		StartTime: start.Format(time.RFC3339), EndTime: start.Add(time.Hour).Format(time.RFC3339),
		MetricValueSets: []gcpMetricValueSet{{MetricName: l.GCP.Metric, MetricValues: []gcpMetricValue{value}}},
	}, true
}

func (s *GCP) send(ctx context.Context, l Line) Result {
	operation, ok := gcpOf(l)
	if !ok {
		return Result{Outcome: Refused, Permanent: true, Reason: "the quantity " + l.Quantity.String() + " is not of the metric's type"}
	}
	r := s.check(ctx, l, operation)
	if r == nil {
		answered := s.report(ctx, l, operation)
		r = &answered
	}
	r.Request = raw(operation)
	return *r
}

// gcpClosed are the check errors of a customer who cannot be billed now.
var gcpClosed = []string{"SERVICE_NOT_ACTIVATED", "BILLING_DISABLED", "PROJECT_DELETED", "PROJECT_INVALID", "CONSUMER_INVALID", "NOT_FOUND", "PERMISSION_DENIED"}

// check returns nil if the operation may be reported.
func (s *GCP) check(ctx context.Context, l Line, operation *gcpOperationBody) *Result {
	var answer struct {
		gcpAnswer
		CheckErrors []gcpCheckError `json:"checkErrors"`
	}
	if err := s.calls.call(ctx, l.GCP.Service, "check", gcpCheckRequest{operation}, &answer); err != nil {
		r := gcpFailure(err)
		r.NotStored = true // a check stores nothing
		return &r
	}
	if len(answer.CheckErrors) == 0 {
		return nil
	}
	r := &Result{Reason: answer.CheckErrors[0].Code, NotStored: true, Response: raw(map[string]any{"checkErrors": answer.CheckErrors})}
	for _, e := range answer.CheckErrors {
		if slices.Contains(gcpClosed, e.Code) {
			r.Reason, r.Suspended = e.Code, true
		}
	}
	return r
}

func (s *GCP) report(ctx context.Context, l Line, operation *gcpOperationBody) Result {
	var answer struct {
		gcpAnswer
		ReportErrors []gcpReportError `json:"reportErrors"`
	}
	if err := s.calls.call(ctx, l.GCP.Service, "report", gcpReportRequest{[]*gcpOperationBody{operation}}, &answer); err != nil {
		return gcpFailure(err)
	}
	response := struct {
		ServiceConfigID string     `json:"serviceConfigId,omitempty"`
		RolloutID       string     `json:"serviceRolloutId,omitempty"`
		ReportErrors    []gcpError `json:"reportErrors,omitempty"`
	}{answer.ServiceConfigID, answer.RolloutID, nil}
	r := Result{Outcome: Settled, Accepted: l.Quantity}
	for _, e := range answer.ReportErrors {
		r = gcpReported(e, l, r)
		if e.Status != nil {
			response.ReportErrors = append(response.ReportErrors, gcpError{e.OperationID, gcpStatus{e.Status.Code, e.Status.Message}})
		}
	}
	r.Response = raw(response)
	return r
}

// gcpReported is a line's result after one of the errors of its report, which
// holds no other operation: an error is the line's unless it names another.
func gcpReported(e gcpReportError, l Line, before Result) Result {
	id := strings.Trim(strings.TrimSpace(e.OperationID), "{}")
	switch {
	case id != "" && !strings.EqualFold(id, l.OperationID):
		return Result{Reason: "the answer tells of an operation that was not sent"}
	case e.Status == nil || e.Status.Code == 0:
		return Result{Reason: "the answer has an error that says nothing"}
	case before.Outcome == Unknown: // nothing is more certain by a second error
		return before
	}
	r := Result{Outcome: Refused, Permanent: true, Reason: "code " + strconv.FormatInt(e.Status.Code, 10) + ": " + e.Status.Message}
	switch e.Status.Code {
	case 1, 2, 4, 8, 10, 13, 14: // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE
		r.Outcome, r.Permanent = Unknown, false
	case 5, 7, 9, 16: // NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED
		r.Suspended = true
	}
	return r
}

type gcpError struct {
	OperationID string    `json:"operationId"`
	Status      gcpStatus `json:"status"`
}

type gcpStatus struct {
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

// gcpFailure classifies the error of a whole call, which holds one operation.
func gcpFailure(err error) Result {
	var answered *gcpRefusal
	if !errors.As(err, &answered) {
		return Result{Reason: "no answer", NotStored: errors.Is(err, errNoToken) || notSent(err)}
	}
	r := Result{Reason: "HTTP " + strconv.Itoa(answered.code), RetryAfter: answered.retry}
	if json.Valid(answered.body) {
		r.Response = answered.body
	}
	own := gcpForm(answered.body)
	switch {
	case answered.code == http.StatusUnauthorized || answered.code == http.StatusForbidden:
		r.NotStored, r.Setup = own || len(answered.body) == 0, true
	case answered.code == http.StatusTooManyRequests:
		r.NotStored = own || len(answered.body) == 0
	case !own && answered.code < 500:
		r.Reason += notVendors
	case answered.code >= 400 && answered.code < 500 && answered.code != http.StatusRequestTimeout:
		r.Outcome, r.Permanent = Refused, true
	}
	return r
}

// gcpForm says whether the body of a failure is Google's: an object with an
// error that has a code.
func gcpForm(body []byte) bool {
	var answer struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.Error.Code != 0
}

// notSent says whether an error means that nothing left this process.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
