package sender

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/marketplacemetering"
	"github.com/aws/aws-sdk-go-v2/service/marketplacemetering/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// AWSOptions say how AWS is reached.
type AWSOptions struct {
	Credentials aws.CredentialsProvider
	Endpoint    string       // "" = AWS's own, by region
	Client      *http.Client // nil = the SDK's
}

// AWS sends to AWS Marketplace by BatchMeterUsage. The SDK makes one attempt a
// call: the reporter repeats, also after a crash.
type AWS struct {
	options AWSOptions
}

var _ Sender = (*AWS)(nil)

// NewAWS returns a sender for AWS Marketplace.
func NewAWS(o AWSOptions) *AWS { return &AWS{options: o} }

// awsPlace is what all records of one call share. Licences name their product
// themselves, and a call must not name it again.
func awsPlace(l Line) string {
	switch {
	case l.AWS.LicenseARN != "":
		return l.AWS.Region + "//license"
	case l.AWS.CustomerIdentifier != "":
		return l.AWS.Region + "/" + l.AWS.ProductCode + "/identifier"
	}
	return l.AWS.Region + "/" + l.AWS.ProductCode + "/account"
}

// Send sends lines product by product.
func (s *AWS) Send(ctx context.Context, lines []Line) []Result {
	return grouped(ctx, lines, awsPlace, func(string) call { return s.send })
}

// Reconcile sends the lines again: within the window an identical record is
// answered Success, whether it is the first or not.
func (s *AWS) Reconcile(ctx context.Context, lines []Line) []Result { return s.Send(ctx, lines) }

func (s *AWS) client(region string) *marketplacemetering.Client {
	return marketplacemetering.New(marketplacemetering.Options{
		Region: region, Credentials: s.options.Credentials, RetryMaxAttempts: 1,
	}, func(o *marketplacemetering.Options) {
		if s.options.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.options.Endpoint)
		}
		if s.options.Client != nil {
			o.HTTPClient = s.options.Client
		}
	})
}

// awsRecord is the wire form of a line. Its quantity is within an int32, see
// rating.FormatAWS.
func awsRecord(l Line) (types.UsageRecord, bool) {
	quantity, exact := l.Quantity.Int64()
	if !exact || quantity < 0 || quantity > 1<<31-1 {
		return types.UsageRecord{}, false
	}
	r := types.UsageRecord{Timestamp: aws.Time(l.Hour.UTC()), Dimension: aws.String(l.Dimension), Quantity: aws.Int32(int32(quantity))}
	if l.AWS.CustomerIdentifier != "" {
		r.CustomerIdentifier = aws.String(l.AWS.CustomerIdentifier)
	} else {
		r.CustomerAWSAccountId = aws.String(l.AWS.AccountID)
	}
	if l.AWS.LicenseARN != "" {
		r.LicenseArn = aws.String(l.AWS.LicenseARN)
	}
	return r, true
}

// awsKey is what results are matched by: never by position.
func awsKey(r types.UsageRecord) string {
	return aws.ToString(r.CustomerIdentifier) + "|" + aws.ToString(r.CustomerAWSAccountId) + "|" + aws.ToString(r.LicenseArn) + "|" +
		aws.ToString(r.Dimension) + "|" + strconv.FormatInt(aws.ToTime(r.Timestamp).Unix(), 10)
}

func (s *AWS) send(ctx context.Context, lines []Line, results []Result) (poisoned bool) {
	input := &marketplacemetering.BatchMeterUsageInput{}
	if first := lines[0].AWS; first.LicenseARN == "" {
		input.ProductCode = aws.String(first.ProductCode)
	}
	places := map[string]int{}
	for i, l := range lines {
		record, ok := awsRecord(l)
		if !ok {
			results[i] = Result{Outcome: Refused, Permanent: true, Reason: "the quantity " + l.Quantity.String() + " is no whole number that AWS takes"}
			continue
		}
		places[awsKey(record)] = i
		input.UsageRecords = append(input.UsageRecords, record)
		results[i].Request = raw(awsRawRequest{ProductCode: l.AWS.ProductCode, UsageRecords: []awsRawRecord{awsRaw(record)}})
	}
	if len(input.UsageRecords) == 0 {
		return false
	}
	output, err := s.client(lines[0].AWS.Region).BatchMeterUsage(ctx, input)
	if err != nil {
		r, poison := awsFailure(err)
		for _, i := range places {
			fill(results[i:i+1], r)
		}
		return poison
	}
	for _, i := range places { // in neither list: as if it were unprocessed
		fill(results[i:i+1], Result{Reason: "the answer does not name the record"})
	}
	for _, u := range output.UnprocessedRecords {
		if i, ok := places[awsKey(u)]; ok {
			fill(results[i:i+1], Result{Reason: "UnprocessedRecord", NotStored: true, Response: raw(awsRawResponse{Unprocessed: []awsRawAnswer{awsAnswer(u)}})})
		}
	}
	for _, result := range output.Results {
		if result.UsageRecord == nil {
			continue
		}
		if i, ok := places[awsKey(*result.UsageRecord)]; ok {
			r := awsOutcome(result.Status, lines[i])
			r.Response = raw(awsRawResponse{Results: []awsRawResult{{aws.ToString(result.MeteringRecordId), string(result.Status), awsAnswer(*result.UsageRecord)}}})
			fill(results[i:i+1], r)
		}
	}
	return false
}

// awsOutcome classifies the status of one record.
func awsOutcome(status types.UsageRecordResultStatus, l Line) Result {
	switch status {
	case types.UsageRecordResultStatusSuccess:
		return Result{Outcome: Settled, Accepted: l.Quantity}
	case types.UsageRecordResultStatusCustomerNotSubscribed:
		return Result{Outcome: Refused, Permanent: true, Suspended: true, Reason: string(status)}
	case types.UsageRecordResultStatusDuplicateRecord:
		return Result{Outcome: Refused, Permanent: true, Reason: string(status)}
	}
	return Result{Reason: string(status)}
}

// awsFailure classifies an error of a whole call, and says whether one record
// may be at fault for all.
func awsFailure(err error) (r Result, poisoned bool) {
	r = Result{Reason: "no answer"}
	var status int
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		r.NotStored = notSent(err)
		return r, false
	}
	r.Reason = api.ErrorCode()
	r.Response = raw(map[string]string{"__type": api.ErrorCode(), "message": api.ErrorMessage()})
	switch api.ErrorCode() {
	case "ThrottlingException", "TooManyRequestsException":
		r.NotStored = true
	case "TimestampOutOfBoundsException":
		r.Outcome = Refused
		return r, true
	case "InvalidCustomerIdentifierException", "InvalidLicenseException", "InvalidUsageDimensionException", "InvalidTagException",
		"InvalidUsageAllocationsException":
		r.Outcome, r.Permanent = Refused, true
		return r, true
	case "InvalidProductCodeException", "DisabledApiException", "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException",
		"InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignatureException",
		"MissingAuthenticationTokenException", "AccessDeniedException", "AccessDenied", "OptInRequired":
		r.NotStored, r.Setup = true, true
	default:
		own := strings.HasSuffix(api.ErrorCode(), "Exception") // as all of the service's are
		switch {
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			r.NotStored, r.Setup = own, true
		case status == http.StatusTooManyRequests:
			r.NotStored = own
		case !own:
			r.Reason = "HTTP " + strconv.Itoa(status) + ", " + r.Reason + notVendors
		case status >= 400 && status < 500:
			r.Outcome, r.Permanent = Refused, true
			return r, true
		}
	}
	return r, false
}

// The exchange in the form in which reports show it: requests in the service's
// own case, answers in camel case with their times as text.
type (
	awsRawRequest struct {
		ProductCode  string         `json:"ProductCode"`
		UsageRecords []awsRawRecord `json:"UsageRecords"`
	}
	awsRawRecord struct {
		CustomerIdentifier   string `json:"CustomerIdentifier,omitempty"`
		CustomerAWSAccountID string `json:"CustomerAWSAccountId,omitempty"`
		LicenseARN           string `json:"LicenseArn,omitempty"`
		Dimension            string `json:"Dimension"`
		Quantity             int32  `json:"Quantity"`
		Timestamp            string `json:"Timestamp"`
	}
	awsRawResponse struct {
		Results     []awsRawResult `json:"results,omitempty"`
		Unprocessed []awsRawAnswer `json:"unprocessedRecords,omitempty"`
	}
	awsRawResult struct {
		MeteringRecordID string       `json:"meteringRecordId,omitempty"`
		Status           string       `json:"status"`
		UsageRecord      awsRawAnswer `json:"usageRecord"`
	}
	awsRawAnswer struct {
		CustomerIdentifier string `json:"customerIdentifier,omitempty"`
		Dimension          string `json:"dimension"`
		Quantity           int32  `json:"quantity"`
		Timestamp          string `json:"timestamp"`
	}
)

func awsRaw(r types.UsageRecord) awsRawRecord {
	return awsRawRecord{aws.ToString(r.CustomerIdentifier), aws.ToString(r.CustomerAWSAccountId), aws.ToString(r.LicenseArn),
		aws.ToString(r.Dimension), aws.ToInt32(r.Quantity), aws.ToTime(r.Timestamp).UTC().Format(time.RFC3339)}
}

func awsAnswer(r types.UsageRecord) awsRawAnswer {
	return awsRawAnswer{aws.ToString(r.CustomerIdentifier), aws.ToString(r.Dimension), aws.ToInt32(r.Quantity), aws.ToTime(r.Timestamp).UTC().Format(time.RFC3339)}
}
