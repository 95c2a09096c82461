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

	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/servicecontrol/v1"
)

const (
	gcpOperation = "odometer usage"
	gcpParallel  = 8 // operations in flight; one is sent in each request
)

// The types of a GCP metric.
const (
	GCPInt64  = "INT64"
	GCPDouble = "DOUBLE"
)

// GCP sends to Google's Service Control API: a check, then a report of one
// operation, whose id makes a repeat the same operation.
type GCP struct {
	service *servicecontrol.Service
}

var _ Sender = (*GCP)(nil)

// NewGCP returns a sender; options say how the service is reached and by whom.
func NewGCP(ctx context.Context, options ...option.ClientOption) (*GCP, error) {
	service, err := servicecontrol.NewService(ctx, options...)
	if err != nil {
		return nil, err
	}
	return &GCP{service: service}, nil
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
func gcpOf(l Line) (*servicecontrol.Operation, bool) {
	value := &servicecontrol.MetricValue{}
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
	return &servicecontrol.Operation{
		OperationId: l.OperationID, OperationName: gcpOperation, ConsumerId: l.GCP.ConsumerID,
		StartTime: start.Format(time.RFC3339), EndTime: start.Add(time.Hour).Format(time.RFC3339),
		MetricValueSets: []*servicecontrol.MetricValueSet{{MetricName: l.GCP.Metric, MetricValues: []*servicecontrol.MetricValue{value}}},
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
func (s *GCP) check(ctx context.Context, l Line, operation *servicecontrol.Operation) *Result {
	answer, err := s.service.Services.Check(l.GCP.Service, &servicecontrol.CheckRequest{Operation: operation}).Context(ctx).Do()
	if err != nil {
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

func (s *GCP) report(ctx context.Context, l Line, operation *servicecontrol.Operation) Result {
	answer, err := s.service.Services.Report(l.GCP.Service, &servicecontrol.ReportRequest{Operations: []*servicecontrol.Operation{operation}}).Context(ctx).Do()
	if err != nil {
		return gcpFailure(err)
	}
	response := struct {
		ServiceConfigID string     `json:"serviceConfigId,omitempty"`
		RolloutID       string     `json:"serviceRolloutId,omitempty"`
		ReportErrors    []gcpError `json:"reportErrors,omitempty"`
	}{answer.ServiceConfigId, answer.ServiceRolloutId, nil}
	r := Result{Outcome: Settled, Accepted: l.Quantity}
	for _, e := range answer.ReportErrors {
		r = gcpReported(e, l, r)
		if e.Status != nil {
			response.ReportErrors = append(response.ReportErrors, gcpError{e.OperationId, gcpStatus{e.Status.Code, e.Status.Message}})
		}
	}
	r.Response = raw(response)
	return r
}

// gcpReported is a line's result after one of the errors of its report, which
// holds no other operation: an error is the line's unless it names another.
func gcpReported(e *servicecontrol.ReportError, l Line, before Result) Result {
	id := strings.Trim(strings.TrimSpace(e.OperationId), "{}")
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
	var answered *googleapi.Error
	if !errors.As(err, &answered) {
		return Result{Reason: "no answer", NotStored: notSent(err)}
	}
	r := Result{Reason: "HTTP " + strconv.Itoa(answered.Code)}
	if json.Valid([]byte(answered.Body)) {
		r.Response = json.RawMessage(answered.Body)
	}
	if seconds, err := strconv.Atoi(answered.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.RetryAfter = time.Duration(seconds) * time.Second
	}
	own := gcpForm(answered.Body)
	switch {
	case answered.Code == http.StatusUnauthorized || answered.Code == http.StatusForbidden:
		r.NotStored, r.Setup = own || answered.Body == "", true
	case answered.Code == http.StatusTooManyRequests:
		r.NotStored = own || answered.Body == ""
	case !own && answered.Code < 500:
		r.Reason += notVendors
	case answered.Code >= 400 && answered.Code < 500 && answered.Code != http.StatusRequestTimeout:
		r.Outcome, r.Permanent = Refused, true
	}
	return r
}

// gcpForm says whether the body of a failure is Google's: an object with an
// error that has a code.
func gcpForm(body string) bool {
	var answer struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal([]byte(body), &answer) == nil && answer.Error.Code != 0
}

// notSent says whether an error means that nothing left this process.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
