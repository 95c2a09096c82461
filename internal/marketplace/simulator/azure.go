package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"odometer/internal/meter"
)

type azureEvent struct {
	UsageEventID       string      `json:"usageEventId,omitempty"`
	Status             string      `json:"status,omitempty"`
	MessageTime        string      `json:"messageTime,omitempty"`
	ResourceID         string      `json:"resourceId"`
	PlanID             string      `json:"planId"`
	Dimension          string      `json:"dimension"`
	Quantity           json.Number `json:"quantity"`
	EffectiveStartTime string      `json:"effectiveStartTime"`
	Error              any         `json:"error,omitempty"`
}

func (s *Simulator) serveAzure(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || r.URL.Query().Get("api-version") == "" {
		writeJSON(w, http.StatusUnauthorized, "application/json", map[string]string{"code": "Unauthorized"})
		return
	}
	var in struct {
		Request []azureEvent `json:"request"`
	}
	single := r.URL.Path == "/api/usageEvent"
	switch {
	case r.URL.Path == "/api/usageEvents":
		s.azureReadBack(w, r)
		return
	case single:
		in.Request = make([]azureEvent, 1)
		if !readJSON(w, r, &in.Request[0]) {
			return
		}
	case !readJSON(w, r, &in):
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.fault(Azure)
	if s.azureFault(w, fault) {
		return
	}
	if n := len(in.Request); n == 0 || n > maxEvents {
		writeJSON(w, http.StatusBadRequest, "application/json", map[string]string{"code": "BadArgument", "message": fmt.Sprintf("%d events, want 1 to %d", n, maxEvents)})
		return
	}
	results := make([]azureEvent, len(in.Request))
	for i, e := range in.Request {
		if fault == FaultPartial && s.random.IntN(2) == 0 {
			e.Status, e.MessageTime, e.Error = "Error", "0001-01-01T00:00:00", map[string]string{"code": "Error", "message": "try again"}
			results[i] = e
			continue
		}
		results[i] = s.azureAccept(e)
	}
	switch {
	case fault == FaultDrop:
		hangUp(w)
	case fault == FaultErrorAfter:
		writeJSON(w, http.StatusInternalServerError, "application/json", map[string]string{"code": "InternalError"})
	case single:
		status := http.StatusBadRequest
		switch results[0].Status {
		case "Accepted":
			status = http.StatusOK
		case "Duplicate":
			status = http.StatusConflict
		}
		writeJSON(w, status, "application/json", results[0])
	default:
		writeJSON(w, http.StatusOK, "application/json", map[string]any{"count": len(results), "result": results})
	}
}

// azureFault answers a call that fails whole before anything is recorded.
func (s *Simulator) azureFault(w http.ResponseWriter, fault string) bool {
	switch fault {
	case FaultThrottle:
		w.Header().Set("Retry-After", "30")
		writeJSON(w, http.StatusTooManyRequests, "application/json", map[string]string{"code": "TooManyRequests"})
	case FaultError:
		writeJSON(w, http.StatusServiceUnavailable, "application/json", map[string]string{"code": "ServiceUnavailable"})
	case FaultCredentials:
		writeJSON(w, http.StatusForbidden, "application/json", map[string]string{"code": "Forbidden"})
	case FaultUnavailable:
		hangUp(w)
	default:
		return false
	}
	return true
}

func azureHour(e azureEvent) (time.Time, error) {
	at, err := time.Parse("2006-01-02T15:04:05.999999999", strings.TrimSuffix(e.EffectiveStartTime, "Z"))
	return at.Truncate(time.Hour), err
}

func (s *Simulator) azureAccept(e azureEvent) azureEvent {
	refuse := func(status string, info any) azureEvent {
		e.Status, e.MessageTime = status, "0001-01-01T00:00:00"
		details := map[string]any{"code": status, "message": status}
		if info != nil {
			details["additionalInfo"] = map[string]any{"acceptedMessage": info}
		}
		e.Error = details
		return e
	}
	at, err := azureHour(e)
	quantity, bad := meter.ParseDecimal(e.Quantity.String())
	age := s.clock().Sub(at)
	key := strings.Join([]string{Azure, e.ResourceID, e.Dimension, at.Format(time.RFC3339)}, "|")
	switch {
	case err != nil || e.ResourceID == "" || e.PlanID == "":
		return refuse("BadArgument", nil)
	case bad != nil || quantity.Sign() <= 0:
		s.violate("Azure: quantity " + e.Quantity.String())
		return refuse("InvalidQuantity", nil)
	case s.invalid[e.Dimension]:
		return refuse("InvalidDimension", nil)
	case age >= s.window || age < 0:
		return refuse("Expired", nil)
	case s.suspended[e.ResourceID]:
		return refuse("ResourceNotActive", nil)
	}
	if stored := s.accepted[key]; stored != nil {
		if stored.Quantity.Cmp(quantity) != 0 {
			s.violate("Azure: " + key + " was " + stored.Quantity.String() + ", sent again with " + quantity.String())
		}
		e.UsageEventID = "first"
		first := e
		first.Status, first.Quantity = "Accepted", json.Number(stored.Quantity.String())
		return refuse("Duplicate", first)
	}
	s.record(key, Entry{Cloud: Azure, Account: e.ResourceID, Dimension: e.Dimension, Hour: at, Quantity: quantity})
	e.UsageEventID, e.Status, e.MessageTime = strconv.Itoa(len(s.order)), "Accepted", s.clock().UTC().Format("2006-01-02T15:04:05.999999Z")
	return e
}

// azureReadBack answers the sums of days by resource and dimension.
func (s *Simulator) azureReadBack(w http.ResponseWriter, r *http.Request) {
	from, err := time.Parse(time.RFC3339, r.URL.Query().Get("usageStartDate"))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, "application/json", map[string]string{"code": "BadArgument", "message": "usageStartDate"})
		return
	}
	to, err := time.Parse(time.RFC3339, r.URL.Query().Get("UsageEndDate"))
	if err != nil {
		to = s.clock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.azureFault(w, s.fault(Azure)) {
		return
	}
	type row struct {
		UsageDate         string      `json:"usageDate"`
		UsageResourceID   string      `json:"usageResourceId"`
		Dimension         string      `json:"dimension"`
		ReconStatus       string      `json:"reconStatus"`
		SubmittedQuantity json.Number `json:"submittedQuantity"`
		ProcessedQuantity json.Number `json:"processedQuantity"`
		SubmittedCount    int         `json:"submittedCount"`
	}
	sums, counts := map[[3]string]meter.Decimal{}, map[[3]string]int{}
	for _, e := range s.order {
		dimension := r.URL.Query().Get("dimension")
		if e.Cloud != Azure || e.Hour.Before(from) || !e.Hour.Before(to) || dimension != "" && dimension != e.Dimension {
			continue
		}
		key := [3]string{e.Hour.Truncate(24 * time.Hour).Format(time.RFC3339), e.Account, e.Dimension}
		sums[key] = sums[key].Add(e.Quantity)
		counts[key]++
	}
	rows := []row{}
	for key, sum := range sums {
		q := json.Number(sum.String())
		rows = append(rows, row{key[0], key[1], key[2], "Submitted", q, q, counts[key]})
	}
	writeJSON(w, http.StatusOK, "application/json", rows)
}
