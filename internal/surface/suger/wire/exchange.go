package wire

import (
	"encoding/json"
	"slices"
)

// What was said between us and a marketplace, as the vendor's reports show it:
// in the marketplace's own words, of which only those are kept that both
// clients decode. Case and types are as irregular as there.
type (
	// AWSRequest is in Pascal case.
	AWSRequest struct {
		ProductCode  string     `json:"ProductCode"`
		UsageRecords []AWSUsage `json:"UsageRecords"`
	}
	// AWSUsage is one record of an AWSRequest.
	AWSUsage struct {
		CustomerIdentifier string `json:"CustomerIdentifier,omitempty"`
		Dimension          string `json:"Dimension"`
		Quantity           int32  `json:"Quantity"`
		Timestamp          *Time  `json:"Timestamp,omitempty"`
	}
	// AWSResponse is in camel case.
	AWSResponse struct {
		Results     []AWSResult `json:"results,omitempty"`
		Unprocessed []AWSRecord `json:"unprocessedRecords,omitempty"`
	}
	// AWSResult is the outcome of one record.
	AWSResult struct {
		MeteringRecordID string     `json:"meteringRecordId,omitempty"`
		Status           string     `json:"status,omitempty"`
		UsageRecord      *AWSRecord `json:"usageRecord,omitempty"`
	}
	// AWSRecord is a record as it is answered; its time is a text.
	AWSRecord struct {
		CustomerIdentifier string `json:"customerIdentifier,omitempty"`
		Dimension          string `json:"dimension"`
		Quantity           int32  `json:"quantity"`
		Timestamp          string `json:"timestamp,omitempty"`
	}
	// AzureRequest is a batch of events.
	AzureRequest struct {
		Request []AzureEvent `json:"request"`
	}
	// AzureEvent is one event of an AzureRequest.
	AzureEvent struct {
		ResourceID         string      `json:"resourceId,omitempty"`
		ResourceURI        string      `json:"resourceUri,omitempty"`
		PlanID             string      `json:"planId,omitempty"`
		Dimension          string      `json:"dimension"`
		Quantity           json.Number `json:"quantity"`
		EffectiveStartTime string      `json:"effectiveStartTime"`
	}
	// AzureResponse is the outcome of a batch.
	AzureResponse struct {
		Count  int32         `json:"count"`
		Result []AzureResult `json:"result"`
	}
	// AzureResult is the outcome of one event.
	AzureResult struct {
		UsageEventID       string       `json:"usageEventId,omitempty"`
		Status             string       `json:"status,omitempty"`
		MessageTime        string       `json:"messageTime,omitempty"`
		ResourceID         string       `json:"resourceId,omitempty"`
		ResourceURI        string       `json:"resourceUri,omitempty"`
		Quantity           *json.Number `json:"quantity,omitempty"`
		Dimension          string       `json:"dimension,omitempty"`
		EffectiveStartTime string       `json:"effectiveStartTime,omitempty"`
		PlanID             string       `json:"planId,omitempty"`
		Error              *AzureError  `json:"error,omitempty"`
	}
	// AzureError says why an event was not accepted.
	AzureError struct {
		Code    string `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	// GCPRequest is one operation.
	GCPRequest struct {
		OperationID     string         `json:"operationId,omitempty"`
		OperationName   string         `json:"operationName,omitempty"`
		ConsumerID      string         `json:"consumerId,omitempty"`
		StartTime       string         `json:"startTime,omitempty"`
		EndTime         string         `json:"endTime,omitempty"`
		MetricValueSets []GCPMetricSet `json:"metricValueSets"`
	}
	// GCPMetricSet holds the values of one metric.
	GCPMetricSet struct {
		MetricName   string     `json:"metricName"`
		MetricValues []GCPValue `json:"metricValues"`
	}
	// GCPValue is one value; an integer is a text there.
	GCPValue struct {
		Int64Value  string       `json:"int64Value,omitempty"`
		DoubleValue *json.Number `json:"doubleValue,omitempty"`
	}
	// GCPResponse tells of errors only. The details of a status are left out:
	// neither client decodes what Google sends there.
	GCPResponse struct {
		ServiceConfigID  string     `json:"serviceConfigId,omitempty"`
		ServiceRolloutID string     `json:"serviceRolloutId,omitempty"`
		ReportErrors     []GCPError `json:"reportErrors,omitempty"`
	}
	// GCPError is why an operation was not taken.
	GCPError struct {
		OperationID string    `json:"operationId,omitempty"`
		Status      GCPStatus `json:"status"`
	}
	// GCPStatus is Google's status of an error.
	GCPStatus struct {
		Code    int32  `json:"code"`
		Message string `json:"message,omitempty"`
	}
)

// The outcomes that both clients know.
var (
	awsOutcomes   = []string{"Success", "CustomerNotSubscribed", "DuplicateRecord"}
	azureOutcomes = []string{"Accepted", "Expired", "Duplicate", "Error", "ResourceNotFound", "ResourceNotAuthorized", "InvalidDimension", "InvalidQuantity", "BadArgument"}
)

// Exchange adds what was said about one dimension to a report: texts as they
// went over the wire, empty where there were none. What is not in the
// marketplace's form, such as the body of an error, is left out.
func (r *ReportInfo) Exchange(request, response json.RawMessage) {
	switch r.Partner {
	case "AWS":
		r.exchangeAWS(request, response)
	case "AZURE":
		r.exchangeAzure(request, response)
	case "GCP":
		r.exchangeGCP(request, response)
	}
}

func (r *ReportInfo) exchangeAWS(request, response json.RawMessage) {
	var asked AWSRequest
	if json.Unmarshal(request, &asked) == nil && len(asked.UsageRecords) > 0 {
		if r.AWSRequest == nil {
			r.AWSRequest = &AWSRequest{ProductCode: asked.ProductCode}
		}
		r.AWSRequest.UsageRecords = append(r.AWSRequest.UsageRecords, asked.UsageRecords...)
	}
	var told AWSResponse
	if json.Unmarshal(response, &told) == nil && len(told.Results)+len(told.Unprocessed) > 0 {
		for i := range told.Results {
			if !slices.Contains(awsOutcomes, told.Results[i].Status) {
				told.Results[i].Status = ""
			}
		}
		if r.AWSResponse == nil {
			r.AWSResponse = &AWSResponse{}
		}
		r.AWSResponse.Results = append(r.AWSResponse.Results, told.Results...)
		r.AWSResponse.Unprocessed = append(r.AWSResponse.Unprocessed, told.Unprocessed...)
	}
}

func (r *ReportInfo) exchangeAzure(request, response json.RawMessage) {
	var asked AzureRequest
	if json.Unmarshal(request, &asked) == nil && len(asked.Request) > 0 {
		if r.AzureRequest == nil {
			r.AzureRequest = &AzureRequest{}
		}
		r.AzureRequest.Request = append(r.AzureRequest.Request, asked.Request...)
	}
	var told AzureResponse
	if json.Unmarshal(response, &told) == nil && len(told.Result) > 0 {
		for i := range told.Result {
			told.Result[i].known()
		}
		if r.AzureResponse == nil {
			r.AzureResponse = &AzureResponse{}
		}
		r.AzureResponse.Result = append(r.AzureResponse.Result, told.Result...)
		r.AzureResponse.Count = int32(len(r.AzureResponse.Result))
	}
}

// known makes an outcome that the clients do not know an Error with the
// outcome as its code.
func (a *AzureResult) known() {
	if a.Status == "" || slices.Contains(azureOutcomes, a.Status) {
		return
	}
	if a.Error == nil {
		a.Error = &AzureError{}
	}
	a.Error.Code, a.Status = a.Status, "Error"
}

func (r *ReportInfo) exchangeGCP(request, response json.RawMessage) {
	var asked GCPRequest
	if json.Unmarshal(request, &asked) == nil && len(asked.MetricValueSets) > 0 {
		if r.GCPRequest == nil {
			r.GCPRequest = &asked
		} else { // an operation of its own; the vendor's form has room for one
			r.GCPRequest.MetricValueSets = append(r.GCPRequest.MetricValueSets, asked.MetricValueSets...)
		}
	}
	var told GCPResponse
	if len(response) > 0 && json.Unmarshal(response, &told) == nil {
		if r.GCPResponse == nil {
			r.GCPResponse = &GCPResponse{ServiceConfigID: told.ServiceConfigID, ServiceRolloutID: told.ServiceRolloutID}
		}
		r.GCPResponse.ReportErrors = append(r.GCPResponse.ReportErrors, told.ReportErrors...)
	}
}
