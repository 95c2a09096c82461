package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// GCPEndpoint is the public address of the Service Control API.
const GCPEndpoint = "https://servicecontrol.googleapis.com/"

// gcpCalls makes the two calls of the Service Control API that are needed.
// Nothing is sent twice: a retry has to survive a crash, so it is the reporter's.
type gcpCalls struct {
	services string // the address below which services are
	token    TokenSource
	client   *http.Client
}

func newGCPCalls(endpoint string, token TokenSource, client *http.Client) (*gcpCalls, error) {
	if !strings.Contains(endpoint, "://") { // a host, perhaps with a port
		endpoint = "https://" + endpoint + "/"
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("the endpoint of the Service Control API: %w", err)
	}
	return &gcpCalls{services: base.ResolveReference(&url.URL{Path: "v1/services/"}).String(), token: token, client: direct(client)}, nil
}

// The fields that are sent stand in alphabetical order, as Google's own client
// writes them: what is kept of an exchange stays the same text.

type gcpCheckRequest struct {
	Operation *gcpOperationBody `json:"operation"`
}

type gcpReportRequest struct {
	Operations []*gcpOperationBody `json:"operations"`
}

type gcpOperationBody struct {
	ConsumerID      string              `json:"consumerId,omitempty"`
	EndTime         string              `json:"endTime"`
	MetricValueSets []gcpMetricValueSet `json:"metricValueSets"`
	OperationID     string              `json:"operationId,omitempty"`
	OperationName   string              `json:"operationName"`
	StartTime       string              `json:"startTime"`
}

type gcpMetricValueSet struct {
	MetricName   string           `json:"metricName,omitempty"`
	MetricValues []gcpMetricValue `json:"metricValues"`
}

// gcpMetricValue holds one of its values. A whole number travels as a string:
// JSON's numbers are doubles to Google.
type gcpMetricValue struct {
	DoubleValue *float64 `json:"doubleValue,omitempty"`
	Int64Value  *int64   `json:"int64Value,omitempty,string"`
}

// gcpAnswer is what the answers of both calls have.
type gcpAnswer struct {
	ServiceConfigID string `json:"serviceConfigId"`
	RolloutID       string `json:"serviceRolloutId"`
}

type gcpCheckError struct {
	Code    string          `json:"code,omitempty"`
	Detail  string          `json:"detail,omitempty"`
	Status  *gcpErrorStatus `json:"status,omitempty"`
	Subject string          `json:"subject,omitempty"`
}

type gcpReportError struct {
	OperationID string          `json:"operationId"`
	Status      *gcpErrorStatus `json:"status"`
}

type gcpErrorStatus struct {
	Code    int64             `json:"code,omitempty"`
	Details []json.RawMessage `json:"details,omitempty"`
	Message string            `json:"message,omitempty"`
}

// gcpRefusal is an answer whose status is not one of success.
type gcpRefusal struct {
	code  int // what its body says, or else the status
	body  []byte
	retry time.Duration
}

func (e *gcpRefusal) Error() string { return "HTTP " + strconv.Itoa(e.code) }

var (
	errNoToken = errors.New("there is no token") // so nothing was sent
	errNoForm  = errors.New("the answer cannot be read")
)

// call makes one call of a service and reads its answer.
func (c *gcpCalls) call(ctx context.Context, service, verb string, send, answer any) error {
	content, err := json.Marshal(send)
	if err != nil {
		return err
	}
	// A space of a path is no plus.
	address := c.services + strings.ReplaceAll(url.QueryEscape(service), "+", "%20") + ":" + verb + "?alt=json&prettyPrint=false"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", userAgent)
	if c.token != nil {
		token, err := c.token(ctx, false)
		if err != nil {
			return errNoToken // its own words may tell of the key
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	status, body, retry, err := exchange(c.client, request)
	switch {
	case status == 0 && ctx.Err() != nil:
		return ctx.Err() // whatever it broke off
	case status == 0:
		return err
	case status < 200 || status > 299:
		return &gcpRefusal{gcpCode(status, body), body, retry}
	case err != nil:
		return err
	case status == http.StatusNoContent:
		return nil
	}
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return errNoForm
	}
	return json.Unmarshal(body, answer)
}

// gcpCode is the code of a failure: Google's own where the body tells it, as a
// gateway's status may differ.
func gcpCode(status int, body []byte) int {
	type failure struct {
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Details []any  `json:"details"`
			Errors  []struct {
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"errors"`
		} `json:"error"`
	}
	var one failure
	var err error
	if len(body) > 0 && body[0] == '[' { // some services answer a list
		list := []*failure{&one}
		err = json.Unmarshal(body, &list)
	} else {
		err = json.Unmarshal(body, &one)
	}
	if err != nil || one.Error == nil || one.Error.Code == 0 {
		return status
	}
	return one.Error.Code
}
