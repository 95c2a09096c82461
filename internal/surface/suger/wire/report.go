package wire

import "encoding/json"

// Report is what was reported of one hour (MeteringUsageRecordReport).
type Report struct {
	ID           string     `json:"id"`
	Organization string     `json:"organizationID"`
	Entitlement  string     `json:"entitlementID"`
	Term         string     `json:"entitlementTermID,omitempty"`
	Buyer        string     `json:"buyerID"`
	Product      string     `json:"productID"`
	Partner      string     `json:"partner"`
	Created      *Time      `json:"creationTime,omitempty"`
	Info         ReportInfo `json:"info"`
}

// The states of a report that both clients know.
const (
	ReportCreated  = "CREATED"
	ReportSuccess  = "SUCCESS"
	ReportFailed   = "FAILED"
	ReportCanceled = "CANCELED"
)

// ReportInfo is MeteringUsageRecordReportInfo. Amounts that a report has no use
// for are left out.
type ReportInfo struct {
	Status         string         `json:"status"`
	Message        string         `json:"message,omitempty"`
	Partner        string         `json:"partner"`
	Start          *Time          `json:"startTime,omitempty"`
	End            *Time          `json:"endTime,omitempty"`
	Groups         []string       `json:"usageRecordGroupIds,omitempty"`
	Aggregated     []Aggregated   `json:"aggregatedBillableRecords,omitempty"`
	Reported       Numbers        `json:"reportedRecords,omitempty"`
	Included       Numbers        `json:"includedRecords,omitempty"`
	Credited       Numbers        `json:"creditRecords,omitempty"`
	CarryIn        Numbers        `json:"decimalParts,omitempty"`
	CarryOut       Numbers        `json:"newDecimalParts,omitempty"`
	UnitPrice      Numbers        `json:"dimensionUnitPrice,omitempty"`
	ListPrice      Numbers        `json:"dimensionUnitListPrice,omitempty"`
	Commit         *Number        `json:"commitAmount,omitempty"`
	UsedCommit     *Number        `json:"usedCommitAmount,omitempty"`
	CommitSpent    *Number        `json:"usedCommitAmountIncrement,omitempty"`
	Credit         *Number        `json:"creditAmount,omitempty"`
	UsedCredit     *Number        `json:"usedCreditAmount,omitempty"`
	CreditSpent    *Number        `json:"usedCreditAmountIncrement,omitempty"`
	BeforeAdjusted Numbers        `json:"recordsToReportBeforeAdjustmentAtListPrice,omitempty"`
	AWSRequest     *AWSRequest    `json:"awsMeteringRequest,omitempty"`
	AWSResponse    *AWSResponse   `json:"awsMeteringResponse,omitempty"`
	AzureRequest   *AzureRequest  `json:"azureMeteringRequest,omitempty"`
	AzureResponse  *AzureResponse `json:"azureMeteringResponse,omitempty"`
	GCPRequest     *GCPRequest    `json:"gcpMeteringRequest,omitempty"`
	GCPResponse    *GCPResponse   `json:"gcpMeteringResponse,omitempty"`
}

// Aggregated is one aggregate of a billable metric (AggregatedMeteringUsageRecord).
type Aggregated struct {
	Key         string       `json:"key"`
	Name        string       `json:"name,omitempty"`
	Quantity    json.Number  `json:"quantity"`
	Amount      *json.Number `json:"amount,omitempty"`
	Group       string       `json:"groupBysExpression"`
	Aggregation string       `json:"billableMetricAggregationType,omitempty"`
	Unique      *struct {
		NewItems map[string]any `json:"newItems"`
	} `json:"uniqueCountAggregationResult,omitempty"`
}

// EncodeReportList renders ListUsageRecordReportsResponse. next is the offset
// of the next page, 0 on the last one.
func EncodeReportList(reports []Report, next int32) ([]byte, error) {
	if reports == nil {
		reports = []Report{}
	}
	return encode(struct {
		Reports []Report `json:"usageRecordReports"`
		Next    int32    `json:"nextOffset,omitempty"`
	}{reports, next})
}
