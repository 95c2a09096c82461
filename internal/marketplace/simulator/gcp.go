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

type gcpOperation struct {
	OperationID     string `json:"operationId"`
	OperationName   string `json:"operationName"`
	ConsumerID      string `json:"consumerId"`
	StartTime       string `json:"startTime"`
	EndTime         string `json:"endTime"`
	MetricValueSets []struct {
		MetricName   string `json:"metricName"`
		MetricValues []struct {
			Int64Value  any               `json:"int64Value,omitempty"` // must be a string
			DoubleValue json.Number       `json:"doubleValue,omitempty"`
			Labels      map[string]string `json:"labels,omitempty"`
		} `json:"metricValues"`
	} `json:"metricValueSets"`
}

func gcpFailed(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, "application/json", map[string]any{"error": map[string]any{"code": status, "message": message}})
}

func (s *Simulator) serveGCP(w http.ResponseWriter, r *http.Request) {
	service, verb, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/services/"), ":")
	var in struct {
		Operation  *gcpOperation  `json:"operation"`
		Operations []gcpOperation `json:"operations"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.fault(GCP)
	switch fault {
	case FaultThrottle:
		w.Header().Set("Retry-After", "5")
		gcpFailed(w, http.StatusTooManyRequests, "quota")
		return
	case FaultError:
		gcpFailed(w, http.StatusServiceUnavailable, "unavailable")
		return
	case FaultCredentials:
		gcpFailed(w, http.StatusUnauthorized, "the token has expired")
		return
	case FaultUnavailable:
		hangUp(w)
	}
	switch {
	case verb == "check" && in.Operation != nil:
		s.gcpCheck(w, *in.Operation)
	case verb == "report":
		s.gcpReport(w, service, in.Operations, fault)
	default:
		gcpFailed(w, http.StatusBadRequest, "want check or report")
	}
}

func (s *Simulator) gcpCheck(w http.ResponseWriter, o gcpOperation) {
	errors := []map[string]string{}
	if s.suspended[o.ConsumerID] {
		errors = append(errors, map[string]string{"code": "BILLING_DISABLED", "detail": "billing is disabled"})
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"operationId": o.OperationID, "checkErrors": errors})
}

func (s *Simulator) gcpReport(w http.ResponseWriter, service string, operations []gcpOperation, fault string) {
	type status struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	type reportError struct {
		OperationID string `json:"operationId"`
		Status      status `json:"status"`
	}
	entries := make([][]Entry, len(operations))
	for i, o := range operations {
		var err error
		if entries[i], err = gcpEntries(o); err != nil {
			s.violate("GCP: " + err.Error())
			gcpFailed(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	failed := []reportError{}
	for i, o := range operations {
		content := string(mustJSON(o))
		before, known := s.operations[service+"/"+o.OperationID]
		switch {
		case fault == FaultPartial:
			failed = append(failed, reportError{o.OperationID, status{14, "try again"}})
		case known && before != content:
			s.violate("GCP: operation " + o.OperationID + " sent again with other content")
		case known: // the same operation
		case s.suspended[o.ConsumerID]:
			failed = append(failed, reportError{o.OperationID, status{9, "billing is disabled"}})
		case s.invalid[entries[i][0].Dimension]:
			failed = append(failed, reportError{o.OperationID, status{3, "no such metric"}})
		default:
			s.operations[service+"/"+o.OperationID] = content
			for _, e := range entries[i] {
				s.record(GCP+o.OperationID+e.Dimension, e)
			}
		}
	}
	switch fault {
	case FaultDrop:
		hangUp(w)
	case FaultErrorAfter:
		gcpFailed(w, http.StatusInternalServerError, "after recording")
	default:
		writeJSON(w, http.StatusOK, "application/json", map[string]any{"reportErrors": failed, "serviceConfigId": "2026-01-01r0"})
	}
}

// gcpEntries are the quantities of one operation.
func gcpEntries(o gcpOperation) ([]Entry, error) {
	start, err := time.Parse(time.RFC3339, o.StartTime)
	if err != nil {
		return nil, fmt.Errorf("startTime %q", o.StartTime)
	}
	end, err := time.Parse(time.RFC3339, o.EndTime)
	if err != nil || end.Sub(start) <= 0 || end.Sub(start) > time.Hour {
		return nil, fmt.Errorf("interval %s to %s", o.StartTime, o.EndTime)
	}
	var out []Entry
	seen := map[string]bool{}
	for _, set := range o.MetricValueSets {
		for _, v := range set.MetricValues {
			key := set.MetricName + string(mustJSON(v.Labels))
			text := v.DoubleValue.String()
			if v.Int64Value != nil {
				var ok bool
				if text, ok = v.Int64Value.(string); !ok {
					return nil, fmt.Errorf("int64Value is no string")
				}
				if _, err := strconv.ParseInt(text, 10, 64); err != nil {
					return nil, fmt.Errorf("int64Value %q", text)
				}
			}
			quantity, err := meter.ParseDecimal(text)
			if err != nil || seen[key] {
				return nil, fmt.Errorf("value %q of %s", text, set.MetricName)
			}
			seen[key] = true
			out = append(out, Entry{Cloud: GCP, Account: o.ConsumerID, Dimension: set.MetricName, Hour: start.UTC(), Quantity: quantity, OperationID: o.OperationID})
		}
	}
	if len(out) == 0 || o.OperationID == "" || o.ConsumerID == "" || o.OperationName == "" {
		return nil, fmt.Errorf("operation %q is not whole", o.OperationID)
	}
	return out, nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(err.Error())
	}
	return b
}
