package suger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kinds are the types of a field, by name: those below, a model's name, and
// "[]" or "{}" before either for a list or an object of them. An enum lists its
// values after "=".
const (
	text    = "text"
	number  = "number"  // never quoted
	integer = "integer" // a plain one of 32 bits
	instant = "instant" // with a zone, at most 6 fraction digits
	boolean = "boolean"
	object  = "object" // of anything
)

// models are the published answers, as far as clients decode them. A field is
// known by its exact case; none is required, and none is ever null.
var models = map[string]map[string]string{
	"Group": {"id": text, "serialID": integer, "organizationID": text, "entitlementID": text, "buyerID": text, "partner": "=AWS AZURE GCP",
		"status": "=CREATED DELETED INVALID REPORTED REPORT_PENDING REPORT_FAILED", "records": "{}" + number, "metaInfo": "Meta",
		"creationTime": instant, "lastUpdateTime": instant, "reportedTime": instant, "usageRecordReportID": text,
		"message": text}, // ours
	"Meta": {"SkipValidation": boolean, "billableRecords": "[]Record", "originRecords": "{}" + number,
		"source": "=API INTERNAL LAGO METRONOME ORB STRIPE", "timestamp": instant},
	"Record":  {"key": text, "properties": object, "quantity": number},
	"Groups":  {"usageRecordGroups": "[]Group", "nextOffset": integer},
	"Reports": {"usageRecordReports": "[]Report", "nextOffset": integer},
	"Report": {"id": text, "organizationID": text, "entitlementID": text, "entitlementTermID": text, "buyerID": text, "productID": text,
		"partner": text, "creationTime": instant, "info": "ReportInfo"},
	"ReportInfo": {"status": "=SUCCESS FAILED CREATED INVOICED DELETED CANCELED", "message": text, "partner": text, "startTime": instant, "endTime": instant,
		"usageRecordGroupIds": "[]" + text, "aggregatedBillableRecords": "[]Aggregated", "reportedRecords": "{}" + number,
		"includedRecords": "{}" + number, "creditRecords": "{}" + number, "decimalParts": "{}" + number, "newDecimalParts": "{}" + number,
		"dimensionUnitPrice": "{}" + number, "dimensionUnitListPrice": "{}" + number, "commitAmount": number, "usedCommitAmount": number,
		"usedCommitAmountIncrement": number, "creditAmount": number, "usedCreditAmount": number, "usedCreditAmountIncrement": number,
		"recordsToReportBeforeAdjustmentAtListPrice": "{}" + number, "awsMeteringRequest": "AWSRequest", "awsMeteringResponse": "AWSResponse",
		"azureMeteringRequest": "AzureRequest", "azureMeteringResponse": "AzureResponse", "gcpMeteringRequest": "GCPRequest", "gcpMeteringResponse": "GCPResponse"},
	"Aggregated": {"key": text, "name": text, "quantity": number, "amount": number, "groupBysExpression": text,
		"billableMetricAggregationType": "=COUNT UNIQUE_COUNT SUM MAX LAST", "billableMetricInfo": "MetricInfo", "uniqueCountAggregationResult": "Unique"},
	"Unique":     {"newItems": object},
	"AWSRequest": {"ProductCode": text, "UsageRecords": "[]AWSUsage"},
	"AWSUsage": {"CustomerIdentifier": text, "Dimension": text, "Quantity": integer, "Timestamp": instant,
		"UsageAllocations": "[]AWSAllocation"},
	"AWSAllocation": {"AllocatedUsageQuantity": integer, "Tags": "[]AWSTag"},
	"AWSTag":        {"Key": text, "Value": text},
	"AWSResponse":   {"results": "[]AWSResult", "unprocessedRecords": "[]AWSRecord", "resultMetadata": object},
	"AWSResult":     {"meteringRecordId": text, "status": "=Success CustomerNotSubscribed DuplicateRecord", "usageRecord": "AWSRecord"},
	"AWSRecord":     {"customerIdentifier": text, "dimension": text, "quantity": integer, "timestamp": text},
	"AzureRequest":  {"request": "[]AzureUsage"},
	"AzureUsage":    {"resourceId": text, "resourceUri": text, "planId": text, "dimension": text, "quantity": number, "effectiveStartTime": text},
	"AzureResponse": {"count": integer, "result": "[]AzureResult"},
	"AzureResult": {"usageEventId": text, "status": "=Accepted Expired Duplicate Error ResourceNotFound ResourceNotAuthorized InvalidDimension InvalidQuantity BadArgument",
		"messageTime": text, "resourceId": text, "resourceUri": text, "quantity": number, "dimension": text, "effectiveStartTime": text, "planId": text, "error": "AzureError"},
	"AzureError": {"code": text, "message": text, "additionalInfo": object},
	"GCPRequest": {"operationId": text, "operationName": text, "consumerId": text, "startTime": text, "endTime": text, "labels": "{}" + text,
		"metricValueSets": "[]GCPSet"},
	"GCPSet":      {"metricName": text, "metricValues": "[]GCPValue"},
	"GCPValue":    {"int64Value": text, "doubleValue": number, "boolValue": boolean, "stringValue": text, "startTime": text, "endTime": text, "labels": "{}" + text},
	"GCPResponse": {"serviceConfigId": text, "serviceRolloutId": text, "reportErrors": "[]GCPError"},
	"GCPError":    {"operationId": text, "status": "GCPStatus"},
	"GCPStatus":   {"code": integer, "message": text},
	"Metric": {"id": text, "name": "text 4 50", "description": "text 0 300", "aggregationType": "=COUNT UNIQUE_COUNT SUM MAX LAST", "info": "MetricInfo",
		"status": "=ACTIVE DELETED", "organizationId": text, "creationTime": instant, "lastUpdateTime": instant},
	"MetricInfo":  {"filterGroups": "[]FilterGroup", "groupBys": "[]" + text, "propertyUniqueOn": text},
	"FilterGroup": {"filters": "[]Filter"},
	"Filter": {"name": text, "operation": "=IS NOT_IS CONTAINS NOT_CONTAINS EXISTS NOT_EXISTS GT GTE LT LTE EQ NOT_EQ", "value": object,
		"valueType": "=STRING FLOAT"},
	"Config": {"partnerUsageMeteringConfigs": "[]PartnerConfig"},
	"PartnerConfig": {"partner": "=ADYEN ALIBABA ANTHROPIC AWS AWS_CHINA AZURE DATABRICKS GCP GOOGLE HUBSPOT INTUIT LAGO MARKETO METRONOME MICROSOFT OAUTH2 OPENAI ORACLE ORB REDHAT SALESFORCE SLACK SNOWFLAKE STRIPE ZOHO",
		"enableDimensionMapping": boolean, "dimensionMapping": "{}Mapping", "dimensionMappingV2": "{}[]Mapping",
		"enableCommitWithAdditionalUsageMetering": boolean, "enableCommitWithAdditionalUsageAtListPrice": boolean, "enableBillableDimension": boolean},
	"Mapping": {"dimensionKey": text, "mappingMode": "=QUANTITY AMOUNT", "convertionMultiplier": number},
}

// answersOf are the models of the operations, by method and the end of the path.
var answersOf = []struct{ method, path, model string }{
	{"POST", `/batchCreateUsageRecordGroups`, "[]Group"},
	{"POST", `/batchValidateUsageRecordGroups`, ""},
	{"POST", `/billableMetric`, "Metric"},
	{"DELETE", `/usageRecordGroup/[^/]+`, "Group"},
	{"GET", `/billableMetric/[^/]+`, "Metric"},
	{"GET", `/usageMeteringConfigInfo`, "Config"},
	{"GET", `/billableMetric`, "[]Metric"},
	{"GET", `/usageRecordGroup`, "Groups"},
	{"GET", `/usageRecordReport`, "Reports"},
	{"POST", `/entitlement/[^/]+/usageRecordGroup`, "Group"},
	{"POST", `/usageRecordGroup/[^/]+/retry`, "Group"},
	{"PATCH", `/billableMetric/[^/]+`, "Metric"},
	{"PATCH", `/usageMeteringConfigInfo`, "Config"},
}

// breaches says what of an answer a client would not take.
func breaches(method, path string, status int, contentType string, body []byte) []string {
	if status != 200 {
		var list []string
		if !strings.HasPrefix(contentType, "text/plain") || len(body) == 0 || bytes.ContainsAny(body[:1], `"{[`) {
			list = append(list, fmt.Sprintf("an error that is not bare text: %s %q", contentType, body))
		}
		return list
	}
	if contentType != "application/json" {
		return []string{"content type " + contentType}
	}
	for _, a := range answersOf {
		if a.method != method || !regexp.MustCompile(`^/org/[^/]+`+a.path+`$`).MatchString(path) {
			continue
		}
		if a.model == "" {
			if len(body) > 0 {
				return []string{fmt.Sprintf("a body where none belongs: %q", body)}
			}
			return nil
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return []string{err.Error()}
		}
		var list []string
		judge(&list, a.model, a.model, v)
		return list
	}
	return []string{"no operation answers " + method + " " + path}
}

var instants = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$`)

// judge holds a value against a kind.
func judge(list *[]string, at, kind string, v any) {
	say := func(format string, args ...any) { *list = append(*list, at+": "+fmt.Sprintf(format, args...)) }
	if v == nil {
		say("null")
		return
	}
	if of, ok := strings.CutPrefix(kind, "[]"); ok {
		items, ok := v.([]any)
		if !ok {
			say("%v is no list", v)
		}
		for i, item := range items {
			judge(list, fmt.Sprintf("%s[%d]", at, i), of, item)
		}
		return
	}
	members, isObject := v.(map[string]any)
	if of, ok := strings.CutPrefix(kind, "{}"); ok {
		if !isObject {
			say("%v is no object", v)
		}
		for name, member := range members {
			judge(list, at+"."+name, of, member)
		}
		return
	}
	if fields, ok := models[kind]; ok {
		if !isObject {
			say("%v is no object", v)
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			field, known := fields[name]
			if !known {
				say("the clients know no %s", name)
				continue
			}
			judge(list, at+"."+name, field, members[name])
		}
		return
	}
	if wrong := scalar(kind, v); wrong != "" {
		say("%s", wrong)
	}
}

// scalar says what is wrong with a value that has no members of its own.
func scalar(kind string, v any) string {
	s, isText := v.(string)
	n, isNumber := v.(json.Number)
	switch name, limits, _ := strings.Cut(kind, " "); {
	case strings.HasPrefix(kind, "="):
		if !isText || !slices.Contains(strings.Fields(kind[1:]), s) {
			return fmt.Sprintf("%v is none of %s", v, kind[1:])
		}
	case name == text:
		var least, most int
		if _, err := fmt.Sscan(limits, &least, &most); err == nil && (len([]rune(s)) < least || len([]rune(s)) > most) {
			return fmt.Sprintf("%q has not %s characters", s, limits)
		}
		if !isText {
			return fmt.Sprintf("%v is no string", v)
		}
	case kind == instant:
		if !isText || !instants.MatchString(s) {
			return fmt.Sprintf("%v is no time", v)
		}
	case kind == number:
		if f, err := strconv.ParseFloat(string(n), 64); !isNumber || err != nil || math.Abs(f) > math.MaxFloat32 {
			return fmt.Sprintf("%v is no number that clients take", v)
		}
	case kind == integer:
		if _, err := strconv.ParseInt(string(n), 10, 32); !isNumber || err != nil {
			return fmt.Sprintf("%v is no integer of 32 bits", v)
		}
	case kind == boolean:
		if _, ok := v.(bool); !ok {
			return fmt.Sprintf("%v is no boolean", v)
		}
	case kind == object:
		if _, ok := v.(map[string]any); !ok {
			return fmt.Sprintf("%v is no object", v)
		}
	default:
		return "a kind that nobody defined: " + kind
	}
	return ""
}
