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

// azureScope is what a token for the metering service is asked for.
const azureScope = "20e940b3-4c77-4b0b-9a53-9e16a1b010a7/.default"

const (
	azureVersion  = "2018-08-31"
	azureAccepted = "Accepted"
)

// Azure sends to the Azure Marketplace metering service in batches.
type Azure struct {
	endpoint string
	token    TokenSource
	client   *http.Client
}

var _ Sender = (*Azure)(nil)

// NewAzure returns a sender for the metering service at endpoint.
func NewAzure(endpoint string, token TokenSource, client *http.Client) *Azure {
	return &Azure{endpoint: strings.TrimRight(endpoint, "/"), token: token, client: direct(client)}
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

// azureTimes are the ways in which the service has been seen to write an
// instant, after the letters are upper case and a space is a T.
var azureTimes = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02"}

// azureTime reads an instant of an answer; without a zone it is UTC.
func azureTime(text string) (time.Time, bool) {
	text = strings.ToUpper(strings.TrimSpace(text))
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	for _, form := range azureTimes {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// azureFits says whether an answer's entry may be the event that was sent: of
// one dimension and clock hour, and of one resource where the entry names it.
func azureFits(l Line, entry azureResult) bool {
	at, ok := azureTime(entry.EffectiveStartTime)
	return ok && at.Truncate(time.Hour).Equal(l.Hour.UTC().Truncate(time.Hour)) && entry.Dimension == l.Dimension &&
		(entry.ResourceID == "" || strings.EqualFold(strings.Trim(strings.TrimSpace(entry.ResourceID), "{}"), l.Azure.ResourceID))
}

// Send sends lines in batches of any resources. A token that is refused is
// renewed once for all of them.
func (s *Azure) Send(ctx context.Context, lines []Line) []Result {
	x := &azureExchange{Azure: s}
	return grouped(ctx, lines, func(Line) string { return "" }, func(string) call { return x.send })
}

func (s *azureExchange) send(ctx context.Context, lines []Line, results []Result) fault {
	events := make([]azureEvent, len(lines))
	for i, l := range lines {
		events[i] = azureOf(l)
		results[i] = Result{Request: raw(map[string]any{"request": []azureEvent{events[i]}})}
	}
	status, body, retry, err := s.exchange(ctx, http.MethodPost, "/api/batchUsageEvent", nil, map[string]any{"request": events})
	if err != nil {
		fill(results, Result{Reason: "no answer", NotStored: notSent(err)})
		return faultNone
	}
	if status != http.StatusOK {
		r, found := azureFailure(status, body, retry)
		if s.tokenless {
			found = faultNone
		}
		fill(results, r)
		return found
	}
	var answer struct {
		Result []json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		fill(results, Result{Reason: "the answer cannot be read"})
		return faultSuspect
	}
	answers := newMatcher(len(lines), "event", func(i int, r Result) { fill(results[i:i+1], r) })
	for _, text := range answer.Result {
		var entry azureResult
		if err := json.Unmarshal(text, &entry); err != nil {
			continue // the others are read all the same
		}
		answers.add(func(i int) bool { return azureFits(lines[i], entry) }, func(i int) Result {
			r := azureOutcome(entry, lines[i])
			if strings.HasPrefix(entry.MessageTime, "0001-") {
				entry.MessageTime = "" // the service's zero, no time
			}
			r.Response = raw(map[string]any{"count": 1, "result": []azureResult{entry}})
			return r
		})
	}
	return answers.finish()
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

// azureFailure classifies the status of a whole call, and says whether one
// event may be at fault for all. A status 403 after a fresh token is often of one
// event: its resource was bought from an offer of another app.
func azureFailure(status int, body []byte, retry time.Duration) (Result, fault) {
	r := Result{Reason: "HTTP " + strconv.Itoa(status), RetryAfter: retry}
	if json.Valid(body) {
		r.Response = body
	}
	own := azureForm(body)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		r.NotStored, r.Setup = own || len(bytes.TrimSpace(body)) == 0, true
		return r, faultLine
	case status == http.StatusTooManyRequests:
		r.NotStored = own || len(bytes.TrimSpace(body)) == 0
		return r, faultNone
	case retry > 0 || status == http.StatusRequestTimeout:
		return r, faultNone // the service asks to wait
	case status == http.StatusConflict || status >= 500 || status < 400:
	case !own: // of a proxy on the way, say
		r.Reason += notVendors
	default:
		r.Outcome, r.Permanent = Refused, true
		return r, faultLine
	}
	return r, faultSuspect
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

// azureExchange is the calls of one Send or Reconcile.
type azureExchange struct {
	*Azure
	renewed   bool // a token was asked for anew
	tokenless bool // there is none: nothing was asked of the service
}

// exchange makes one call with a token; one that is refused is renewed once.
func (s *azureExchange) exchange(ctx context.Context, method, path string, query url.Values, send any) (status int, body []byte, retry time.Duration, err error) {
	for fresh := false; ; fresh = true {
		s.renewed = s.renewed || fresh
		token, err := s.token(ctx, fresh)
		if s.tokenless = err != nil; s.tokenless {
			return http.StatusUnauthorized, nil, 0, nil // what the service would say
		}
		status, body, retry, err = s.once(ctx, token, method, path, query, send)
		if err != nil || status != http.StatusUnauthorized && status != http.StatusForbidden || s.renewed {
			return status, body, retry, err
		}
	}
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
	status, body, retry, err = exchange(s.client, request)
	if err != nil {
		return 0, nil, 0, err
	}
	return status, body, retry, nil
}

// Reconcile asks what the service has. It reads back sums of a day, by
// resource and dimension: they tell whether none or all of the day's undecided
// lines were accepted; anything between stays unknown.
func (s *Azure) Reconcile(ctx context.Context, lines []Line) []Result {
	results := make([]Result, len(lines))
	x := &azureExchange{Azure: s}
	for i, l := range lines {
		results[i] = x.reconcile(ctx, l)
		results[i].Request = raw(map[string]any{"request": []azureEvent{azureOf(l)}})
	}
	return results
}

func (s *azureExchange) reconcile(ctx context.Context, l Line) Result {
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
		UsageDate         string      `json:"usageDate"`
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
		if !strings.EqualFold(row.UsageResourceID, l.Azure.ResourceID) || row.Dimension != l.Dimension || row.ReconStatus == "Rejected" {
			continue
		}
		at, ok := azureTime(row.UsageDate)
		if !ok {
			return Result{Reason: "the answer cannot be read"}
		}
		if !at.Truncate(24 * time.Hour).Equal(day) {
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
