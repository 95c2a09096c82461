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

const (
	awsType   = "application/x-amz-json-1.1"
	maxEvents = 25
)

type awsRecord struct {
	CustomerIdentifier   string      `json:"CustomerIdentifier,omitempty"`
	CustomerAWSAccountID string      `json:"CustomerAWSAccountId,omitempty"`
	LicenseArn           string      `json:"LicenseArn,omitempty"`
	Dimension            string      `json:"Dimension"`
	Timestamp            json.Number `json:"Timestamp"`
	Quantity             json.Number `json:"Quantity,omitempty"`
}

// account is how the ledger names who is billed.
func (r awsRecord) account() string {
	return strings.Trim(r.CustomerIdentifier+r.CustomerAWSAccountID+"/"+r.LicenseArn, "/")
}

type awsResult struct {
	MeteringRecordID string    `json:"MeteringRecordId,omitempty"`
	Status           string    `json:"Status"`
	UsageRecord      awsRecord `json:"UsageRecord"`
}

func awsError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, awsType, map[string]string{"__type": code, "message": message})
}

func (s *Simulator) serveAWS(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ProductCode  string      `json:"ProductCode"`
		UsageRecords []awsRecord `json:"UsageRecords"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.fault(AWS)
	switch fault {
	case FaultThrottle:
		awsError(w, http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
		return
	case FaultError:
		awsError(w, http.StatusInternalServerError, "InternalServiceErrorException", "try again")
		return
	case FaultCredentials:
		awsError(w, http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
		return
	case FaultUnavailable:
		hangUp(w)
	}
	if code, message := s.awsRefusal(in.UsageRecords); code != "" {
		awsError(w, http.StatusBadRequest, code, message)
		return
	}
	results, unprocessed := []awsResult{}, []awsRecord{}
	for _, record := range in.UsageRecords {
		if fault == FaultPartial && s.random.IntN(2) == 0 {
			unprocessed = append(unprocessed, record)
			continue
		}
		results = append(results, s.awsAccept(in.ProductCode, record))
	}
	switch fault {
	case FaultDrop:
		hangUp(w)
	case FaultErrorAfter:
		awsError(w, http.StatusInternalServerError, "InternalServiceErrorException", "after recording")
		return
	}
	writeJSON(w, http.StatusOK, awsType, map[string]any{"Results": results, "UnprocessedRecords": unprocessed})
}

// awsRefusal says why the whole call is refused, if it is.
func (s *Simulator) awsRefusal(records []awsRecord) (code, message string) {
	if n := len(records); n == 0 || n > maxEvents {
		return "ValidationException", fmt.Sprintf("%d records, want 1 to %d", n, maxEvents)
	}
	seen := map[string]bool{}
	for _, r := range records {
		at, _ := awsTime(r)
		age := s.clock().Sub(at)
		quantity, err := strconv.ParseInt(r.Quantity.String(), 10, 64)
		key := r.account() + r.Dimension + at.String()
		switch {
		case (r.CustomerIdentifier == "") == (r.CustomerAWSAccountID == ""):
			return "InvalidCustomerIdentifierException", "want exactly one of CustomerIdentifier and CustomerAWSAccountId"
		case err != nil || quantity < 0 || quantity > 1<<31-1:
			s.violate("AWS: quantity " + r.Quantity.String())
			return "ValidationException", "Quantity is no integer from 0 to 2147483647"
		case seen[key]:
			s.violate("AWS: the same key twice in one call")
			return "ValidationException", "duplicate record in the batch"
		case s.invalid[r.Dimension]:
			return "InvalidUsageDimensionException", "The usage dimension does not match one of the UsageDimensions"
		case age >= s.window || age < 0:
			return "TimestampOutOfBoundsException", "the timestamp is outside of the window"
		}
		seen[key] = true
	}
	return "", ""
}

func awsTime(r awsRecord) (time.Time, error) {
	seconds, _, _ := strings.Cut(r.Timestamp.String(), ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	return time.Unix(n, 0).UTC().Truncate(time.Hour), err
}

func (s *Simulator) awsAccept(product string, r awsRecord) awsResult {
	if s.suspended[r.account()] {
		return awsResult{Status: "CustomerNotSubscribed", UsageRecord: r}
	}
	at, _ := awsTime(r)
	quantity, err := meter.ParseDecimal(r.Quantity.String())
	if err != nil {
		s.violate("AWS: quantity " + r.Quantity.String())
	}
	key := strings.Join([]string{AWS, product, r.account(), r.Dimension, at.Format(time.RFC3339)}, "|")
	if e := s.accepted[key]; e != nil {
		if e.Quantity.Cmp(quantity) != 0 {
			s.violate("AWS: " + key + " was " + e.Quantity.String() + ", sent again with " + quantity.String())
			return awsResult{Status: "DuplicateRecord", UsageRecord: r}
		}
		return awsResult{MeteringRecordID: "again", Status: "Success", UsageRecord: r}
	}
	s.record(key, Entry{Cloud: AWS, Account: r.account(), Dimension: r.Dimension, Hour: at, Quantity: quantity})
	return awsResult{MeteringRecordID: strconv.Itoa(len(s.order)), Status: "Success", UsageRecord: r}
}
