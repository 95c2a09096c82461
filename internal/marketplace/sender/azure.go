package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"odometer/internal/meter"
)

// AzureEndpoint is the public address of the metering service.
const AzureEndpoint = "https://marketplaceapi.microsoft.com"

// AzureScope is what a token for the metering service is asked for.
const AzureScope = "20e940b3-4c77-4b0b-9a53-9e16a1b010a7/.default"

const (
	azureVersion  = "2018-08-31"
	maxAnswer     = 4 << 20 // bytes of an answer that are read
	azureAccepted = "Accepted"
)

// TokenSource returns a bearer token; fresh asks for one that was not handed
// out before, because the service refused the last.
type TokenSource func(ctx context.Context, fresh bool) (string, error)

// Azure sends to the Azure Marketplace metering service in batches.
type Azure struct {
	endpoint string
	token    TokenSource
	client   *http.Client
}

var _ Sender = (*Azure)(nil)

// NewAzure returns a sender for the metering service at endpoint.
func NewAzure(endpoint string, token TokenSource, client *http.Client) *Azure {
	return &Azure{endpoint: strings.TrimRight(endpoint, "/"), token: token, client: client}
}

type azureEvent struct {
	ResourceID         string      `json:"resourceId"`
	PlanID             string      `json:"planId"`
	Dimension          string      `json:"dimension"`
	Quantity           json.Number `json:"quantity"`
	EffectiveStartTime string      `json:"effectiveStartTime"`
}

type azureResult struct {
	UsageEventID       string      `json:"usageEventId,omitempty"`
	Status             string      `json:"status"`
	MessageTime        string      `json:"messageTime,omitempty"`
	ResourceID         string      `json:"resourceId"`
	PlanID             string      `json:"planId,omitempty"`
	Dimension          string      `json:"dimension"`
	Quantity           json.Number `json:"quantity,omitempty"`
	EffectiveStartTime string      `json:"effectiveStartTime"`
	Error              *azureError `json:"error,omitempty"`
}

type azureError struct {
	Code           string `json:"code,omitempty"`
	Message        string `json:"message,omitempty"`
	AdditionalInfo *struct {
		AcceptedMessage *azureResult `json:"acceptedMessage,omitempty"`
	} `json:"additionalInfo,omitempty"`
}

func azureOf(l Line) azureEvent {
	return azureEvent{l.Azure.ResourceID, l.Azure.PlanID, l.Dimension, json.Number(l.Quantity.String()), l.Hour.UTC().Format(time.RFC3339)}
}

// azureKey is what answers are matched by: resource, dimension and hour,
// however the service writes its time.
func azureKey(resource, dimension, start string) string {
	start = strings.TrimSuffix(start, "Z")
	if at, err := time.Parse("2006-01-02T15:04:05.999999999", start); err == nil {
		start = strconv.FormatInt(at.Truncate(time.Hour).Unix(), 10)
	}
	return strings.ToLower(resource) + "|" + dimension + "|" + start
}

// Send sends lines in batches of any resources.
func (s *Azure) Send(ctx context.Context, lines []Line) []Result {
	return grouped(ctx, lines, func(Line) string { return "" }, func(string) call { return s.send })
}

func (s *Azure) send(ctx context.Context, lines []Line, results []Result) (poisoned bool) {
	events := make([]azureEvent, len(lines))
	places := map[string]int{}
	for i, l := range lines {
		events[i] = azureOf(l)
		places[azureKey(l.Azure.ResourceID, l.Dimension, events[i].EffectiveStartTime)] = i
		results[i] = Result{Request: raw(map[string]any{"request": []azureEvent{events[i]}})}
	}
	status, body, retry, err := s.exchange(ctx, http.MethodPost, "/api/batchUsageEvent", nil, map[string]any{"request": events})
	if err != nil {
		fill(results, Result{Reason: "no answer", NotStored: notSent(err)})
		return false
	}
	if status != http.StatusOK {
		r := azureFailure(status, body, retry)
		fill(results, r)
		return r.Outcome == Refused
	}
	var answer struct {
		Result []azureResult `json:"result"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		fill(results, Result{Reason: "the answer cannot be read"})
		return false
	}
	fill(results, Result{Reason: "the answer does not name the event"})
	for _, entry := range answer.Result {
		i, ok := places[azureKey(entry.ResourceID, entry.Dimension, entry.EffectiveStartTime)]
		if !ok {
			continue
		}
		r := azureOutcome(entry, lines[i])
		if strings.HasPrefix(entry.MessageTime, "0001-") {
			entry.MessageTime = "" // the service's zero, no time
		}
		r.Response = raw(map[string]any{"count": 1, "result": []azureResult{entry}})
		fill(results[i:i+1], r)
	}
	return false
}

// azureOutcome classifies the status of one event.
func azureOutcome(entry azureResult, l Line) Result {
	r := Result{Reason: entry.Status}
	switch entry.Status {
	case azureAccepted:
		return Result{Outcome: Settled, Accepted: l.Quantity}
	case "Duplicate":
		if entry.Error == nil || entry.Error.AdditionalInfo == nil || entry.Error.AdditionalInfo.AcceptedMessage == nil {
			return r // what was accepted is not said
		}
		accepted, err := meter.ParseDecimal(entry.Error.AdditionalInfo.AcceptedMessage.Quantity.String())
		if err != nil {
			return r
		}
		if accepted.Sign() <= 0 || accepted.Cmp(l.Quantity) > 0 { // nothing that this line has left there
			r.Contested, r.Reason = true, "Duplicate: the marketplace holds "+accepted.String()+", "+l.Quantity.String()+" was sent"
			return r
		}
		r.Outcome, r.Accepted = Settled, accepted
		if accepted.Cmp(l.Quantity) == 0 {
			r.Reason = ""
		}
	case "Expired":
		r.Outcome = Refused
	case "ResourceNotActive":
		r.NotStored, r.Suspended = true, true
	case "ResourceNotFound", "ResourceNotAuthorized":
		r.Outcome, r.Permanent, r.Suspended = Refused, true, true
	case "InvalidDimension", "BadArgument", "InvalidQuantity":
		r.Outcome, r.Permanent = Refused, true
	}
	return r
}

// azureFailure classifies the status of a whole call.
func azureFailure(status int, body []byte, retry time.Duration) Result {
	r := Result{Reason: "HTTP " + strconv.Itoa(status), RetryAfter: retry}
	if json.Valid(body) {
		r.Response = body
	}
	own := azureForm(body)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		r.NotStored, r.Setup = own || len(bytes.TrimSpace(body)) == 0, true
	case status == http.StatusTooManyRequests:
		r.NotStored = own || len(bytes.TrimSpace(body)) == 0
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status >= 500 || status < 400:
	case !own: // of a proxy on the way, say
		r.Reason += notVendors
	default:
		r.Outcome, r.Permanent = Refused, true
	}
	return r
}

// azureForm says whether the body of a failure is the service's: an object
// with a code, or with an error that has one.
func azureForm(body []byte) bool {
	var answer struct {
		Code  string `json:"code"`
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.Code+answer.Error.Code != ""
}

// exchange makes one call with a token; a token that is refused is renewed once.
func (s *Azure) exchange(ctx context.Context, method, path string, query url.Values, send any) (status int, body []byte, retry time.Duration, err error) {
	for _, fresh := range []bool{false, true} {
		token, err := s.token(ctx, fresh)
		if err != nil {
			return http.StatusUnauthorized, nil, 0, nil // what the service would say
		}
		status, body, retry, err = s.once(ctx, token, method, path, query, send)
		if err != nil || status != http.StatusUnauthorized && status != http.StatusForbidden {
			return status, body, retry, err
		}
	}
	return status, body, retry, nil
}

func (s *Azure) once(ctx context.Context, token, method, path string, query url.Values, send any) (status int, body []byte, retry time.Duration, err error) {
	var reader io.Reader
	if send != nil {
		b, err := json.Marshal(send)
		if err != nil {
			return 0, nil, 0, err
		}
		reader = bytes.NewReader(b)
	}
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", azureVersion)
	request, err := http.NewRequestWithContext(ctx, method, s.endpoint+path+"?"+query.Encode(), reader)
	if err != nil {
		return 0, nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if send != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, 0, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, 0, err
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		retry = time.Duration(seconds) * time.Second
	}
	return response.StatusCode, body, retry, nil
}

// Reconcile asks what the service has. It reads back sums of a day, by
// resource and dimension: they tell whether none or all of the day's undecided
// lines were accepted; anything between stays unknown.
func (s *Azure) Reconcile(ctx context.Context, lines []Line) []Result {
	results := make([]Result, len(lines))
	for i, l := range lines {
		results[i] = s.reconcile(ctx, l)
		results[i].Request = raw(map[string]any{"request": []azureEvent{azureOf(l)}})
	}
	return results
}

func (s *Azure) reconcile(ctx context.Context, l Line) Result {
	day := l.Hour.UTC().Truncate(24 * time.Hour)
	query := url.Values{"usageStartDate": {day.Format(time.RFC3339)}, "UsageEndDate": {day.Add(24 * time.Hour).Format(time.RFC3339)}, "dimension": {l.Dimension}}
	status, body, retry, err := s.exchange(ctx, http.MethodGet, "/api/usageEvents", query, nil)
	if err != nil {
		return Result{Reason: "no answer"}
	}
	if status != http.StatusOK {
		return Result{Reason: "HTTP " + strconv.Itoa(status), RetryAfter: retry, Setup: status == http.StatusUnauthorized || status == http.StatusForbidden}
	}
	var rows []struct {
		UsageDate         time.Time   `json:"usageDate"`
		UsageResourceID   string      `json:"usageResourceId"`
		Dimension         string      `json:"dimension"`
		ReconStatus       string      `json:"reconStatus"`
		SubmittedQuantity json.Number `json:"submittedQuantity"`
	}
	if err := json.Unmarshal(body, &rows); err != nil || rows == nil {
		return Result{Reason: "the answer cannot be read"}
	}
	var total meter.Decimal
	for _, row := range rows {
		if !strings.EqualFold(row.UsageResourceID, l.Azure.ResourceID) || row.Dimension != l.Dimension || row.ReconStatus == "Rejected" ||
			!row.UsageDate.UTC().Truncate(24*time.Hour).Equal(day) {
			continue
		}
		quantity, err := meter.ParseDecimal(row.SubmittedQuantity.String())
		if err != nil {
			return Result{Reason: "the answer cannot be read"}
		}
		total = total.Add(quantity)
	}
	switch {
	case total.Cmp(l.Settled.Add(l.Undecided)) == 0:
		return Result{Outcome: Settled, Accepted: l.Quantity, Reason: "read back"}
	case total.Cmp(l.Settled) == 0:
		return Result{Outcome: Refused, Reason: "read back: not there"}
	}
	return Result{Reason: "read back: " + total.String() + " on that day, " + l.Settled.String() + " known, " + l.Undecided.String() + " undecided"}
}
