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

	"odometer/internal/meter"
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
func NewAWS(o AWSOptions) *AWS {
	if o.Client != nil {
		o.Client = direct(o.Client)
	}
	return &AWS{options: o}
}

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

// awsFits says whether an answer's record may be the one that was sent: of one
// dimension and hour, and alike in every identity that both name. AWS may leave
// the licence out, name the buyer in both forms, or write an account another way.
func awsFits(sent, answered types.UsageRecord) bool {
	alike := func(a, b *string, same func(a, b string) bool) bool {
		return aws.ToString(a) == "" || aws.ToString(b) == "" || same(*a, *b)
	}
	return aws.ToString(sent.Dimension) == aws.ToString(answered.Dimension) &&
		aws.ToTime(sent.Timestamp).UTC().Truncate(time.Hour).Equal(aws.ToTime(answered.Timestamp).UTC().Truncate(time.Hour)) &&
		alike(sent.CustomerIdentifier, answered.CustomerIdentifier, strings.EqualFold) &&
		alike(sent.LicenseArn, answered.LicenseArn, strings.EqualFold) &&
		alike(sent.CustomerAWSAccountId, answered.CustomerAWSAccountId, func(a, b string) bool { return accountDigits(a) == accountDigits(b) })
}

// accountDigits are the digits of an account, also where it is written in
// groups or as a number.
func accountDigits(account string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, account)
	return strings.TrimLeft(digits, "0")
}

func (s *AWS) send(ctx context.Context, lines []Line, results []Result) fault {
	input := &marketplacemetering.BatchMeterUsageInput{}
	if first := lines[0].AWS; first.LicenseARN == "" {
		input.ProductCode = aws.String(first.ProductCode)
	}
	var places []int // of the lines, by record
	for i, l := range lines {
		record, ok := awsRecord(l)
		if !ok {
			results[i] = Result{Outcome: Refused, Permanent: true, Reason: "the quantity " + l.Quantity.String() + " is no whole number that AWS takes"}
			continue
		}
		if l.AWS.CustomerIdentifier == "" && l.AWS.AccountID == "" {
			results[i] = Result{Outcome: Refused, Permanent: true, Reason: "the entitlement names neither a customer identifier nor an account"}
			continue
		}
		places = append(places, i)
		input.UsageRecords = append(input.UsageRecords, record)
		results[i].Request = raw(awsRawRequest{ProductCode: l.AWS.ProductCode, UsageRecords: []awsRawRecord{awsRaw(record)}})
	}
	if len(input.UsageRecords) == 0 {
		return faultNone
	}
	output, err := s.client(lines[0].AWS.Region).BatchMeterUsage(ctx, input)
	if err != nil {
		r, found := awsFailure(err)
		for _, i := range places {
			fill(results[i:i+1], r)
		}
		return found
	}
	answers := newMatcher(len(places), "record", func(i int, r Result) { fill(results[places[i]:places[i]+1], r) })
	for _, u := range output.UnprocessedRecords {
		answers.add(func(i int) bool { return awsFits(input.UsageRecords[i], u) }, func(int) Result {
			return Result{Reason: "UnprocessedRecord", NotStored: true, Response: raw(awsRawResponse{Unprocessed: []awsRawAnswer{awsAnswer(u)}})}
		})
	}
	for _, result := range output.Results {
		if result.UsageRecord == nil {
			continue
		}
		answers.add(func(i int) bool { return awsFits(input.UsageRecords[i], *result.UsageRecord) }, func(i int) Result {
			r := awsOutcome(result.Status, lines[places[i]])
			if q := result.UsageRecord.Quantity; r.Outcome == Settled && q != nil && meter.NewDecimal(int64(*q)).Cmp(r.Accepted) != 0 {
				r = Result{Reason: "the answer names another quantity"}
			}
			r.Response = raw(awsRawResponse{Results: []awsRawResult{{aws.ToString(result.MeteringRecordId), string(result.Status), awsAnswer(*result.UsageRecord)}}})
			return r
		})
	}
	return answers.finish()
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
func awsFailure(err error) (Result, fault) {
	r := Result{Reason: "no answer"}
	var status int
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return awsUnread(err, status)
	}
	r.Reason = api.ErrorCode()
	r.Response = raw(map[string]string{"__type": api.ErrorCode(), "message": api.ErrorMessage()})
	switch api.ErrorCode() {
	case "ThrottlingException", "TooManyRequestsException":
		r.NotStored = true
		return r, faultNone
	case "TimestampOutOfBoundsException":
		r.Outcome = Refused
		return r, faultLine
	case "InvalidCustomerIdentifierException", "InvalidLicenseException", "InvalidUsageDimensionException", "InvalidTagException",
		"InvalidUsageAllocationsException":
		r.Outcome, r.Permanent = Refused, true
		return r, faultLine
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
		"SignatureDoesNotMatch", "IncompleteSignatureException", "MissingAuthenticationTokenException":
		r.NotStored, r.Setup = true, true
		return r, faultNone // of the credentials, whatever is sent
	case "InvalidProductCodeException", "DisabledApiException", "AccessDeniedException", "AccessDenied", "OptInRequired":
		r.NotStored, r.Setup = true, true
		return r, faultLine // a licence names its product: others of the call may be another's
	}
	own := strings.HasSuffix(api.ErrorCode(), "Exception") // as all of the service's are
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		r.NotStored, r.Setup = own, true
		return r, faultLine
	case status == http.StatusTooManyRequests:
		r.NotStored = own
		return r, faultNone
	case !own:
		r.Reason = "HTTP " + strconv.Itoa(status) + ", " + r.Reason + notVendors
	case status >= 400 && status < 500:
		r.Outcome, r.Permanent = Refused, true
		return r, faultLine
	}
	return r, faultSuspect
}

// awsUnread classifies what is no answer of the service: nothing was asked, or
// what was answered cannot be read.
func awsUnread(err error, status int) (Result, fault) {
	var params *smithy.InvalidParamsError
	var encoding *smithy.SerializationError
	switch {
	case errors.As(err, &params) || errors.As(err, &encoding): // of one record, before anything was sent
		return Result{Outcome: Refused, Permanent: true, NotStored: true, Reason: "the record cannot be sent: " + err.Error()}, faultLine
	case status == http.StatusOK:
		return Result{Reason: "the answer cannot be read"}, faultSuspect
	case status != 0:
		return Result{Reason: "HTTP " + strconv.Itoa(status)}, faultSuspect
	}
	return Result{Reason: "no answer", NotStored: notSent(err)}, faultNone
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
