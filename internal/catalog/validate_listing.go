package catalog

import (
	"reflect"
	"regexp"

	"odometer/internal/meter"
)

// The forms in which the marketplaces take what names a listing and a buyer.
var (
	awsProduct    = regexp.MustCompile(`^[-a-zA-Z0-9/=:_.@]{1,255}$`)
	awsAccount    = regexp.MustCompile(`^[0-9]{12}$`)
	awsLicence    = regexp.MustCompile(`^arn:aws(-[a-z]+)*:license-manager:[a-z0-9-]*:[0-9]{12}:license[:/][-a-zA-Z0-9]+$`)
	awsRegion     = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`)
	azureResource = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	gcpService    = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]{0,62}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)+$`)
	gcpConsumer   = regexp.MustCompile(`^(project:[-a-zA-Z0-9.:]+|project_number:[0-9]+|projects/[-a-zA-Z0-9.:]+|folders/[0-9]+|organizations/[0-9]+|api_key:[-_a-zA-Z0-9]+)$`)
	gcpMetric     = regexp.MustCompile(`^[-_.~a-zA-Z0-9/]+$`)
)

// maxDimension is how long a dimension may be in the marketplaces, in characters.
const maxDimension = 255

// form checks a text that must be there in a marketplace's form.
func (v *validator) form(path, s string, want *regexp.Regexp, words string) {
	if s == "" {
		v.problems.add(path, isRequired)
		return
	}
	if len(s) > MaxNounIDBytes || !want.MatchString(s) {
		v.problems.add(path, "%q: want %s", meter.Clip(s), words)
	}
}

// absent checks that a text that another form has is not there.
func (v *validator) absent(path, s, instead string) {
	if s != "" {
		v.problems.add(path, "does not go with %s", instead)
	}
}

// awsListing checks that a buyer of AWS is named in one of the forms that
// BatchMeterUsage takes: a product code with a customer identifier or an
// account, or a licence with an account. With a licence, the product code is
// for reports only.
func (v *validator) awsListing(at string, e Entitlement) {
	a := e.AWS
	switch {
	case a.LicenseARN != "":
		v.form(at+".license_arn", a.LicenseARN, awsLicence, "the ARN of a licence, such as arn:aws:license-manager::294406891311:license/l-1")
		v.form(at+".account_id", a.AccountID, awsAccount, "an account of 12 digits")
		v.absent(at+".customer_identifier", a.CustomerIdentifier, "license_arn")
		if a.ProductCode != "" {
			v.form(at+".product_code", a.ProductCode, awsProduct, "a product code")
		}
	case a.CustomerIdentifier != "":
		v.form(at+".product_code", a.ProductCode, awsProduct, "a product code")
		v.optional(at+".customer_identifier", a.CustomerIdentifier)
		if len(a.CustomerIdentifier) > maxDimension {
			v.problems.add(at+".customer_identifier", "want at most %d characters", maxDimension)
		}
		v.absent(at+".account_id", a.AccountID, "customer_identifier")
	case a.AccountID != "":
		v.form(at+".product_code", a.ProductCode, awsProduct, "a product code")
		v.form(at+".account_id", a.AccountID, awsAccount, "an account of 12 digits")
	default:
		v.form(at+".product_code", a.ProductCode, awsProduct, "a product code")
		v.problems.add(at, "want customer_identifier, or account_id, or account_id and license_arn")
	}
	v.form(at+".region", a.Region, awsRegion, "a region, such as us-east-1")
	for i, d := range e.Dimensions {
		if len(d.Key) > maxDimension {
			v.problems.add(item("dimensions", i), "AWS takes dimensions of at most %d characters", maxDimension)
		}
	}
}

// gcpListing checks a consumer and metrics as Service Control takes them.
func (v *validator) gcpListing(at string, e Entitlement) {
	g := e.GCP
	v.form(at+".service", g.Service, gcpService, "the name of a service, such as cdn.example.com")
	v.form(at+".usage_reporting_id", g.UsageReportingID, gcpConsumer, "a consumer as the procurement API names it, such as project_number:1")
	dimensions := make(map[string]bool, len(e.Dimensions))
	for _, d := range e.Dimensions {
		dimensions[d.Key] = true
	}
	for _, key := range sortedKeys(g.Metrics) {
		at := at + ".metrics." + meter.Clip(key)
		v.form(at+".name", g.Metrics[key].Name, gcpMetric, "the name of a metric")
		v.oneOf(at+".type", g.Metrics[key].Type, "INT64", "DOUBLE")
		if !dimensions[key] {
			v.problems.add(at, "there is no such dimension")
		}
	}
}

// checkLicences checks that a licence and its buyer are of one product, where a
// change touches them: AWS knows them by the licence alone, so that lines of
// two products would be one.
func checkLicences(doc *Document, changes []Change) error {
	changed, first := map[string]bool{}, map[string]*Entitlement{}
	for _, c := range changes {
		changed[c.ID] = changed[c.ID] || c.Noun == NounEntitlement
	}
	for i := range doc.Entitlements {
		e := &doc.Entitlements[i]
		if e.Partner != PartnerAWS || e.AWS == nil || e.AWS.LicenseARN == "" {
			continue
		}
		had := first[e.Account()]
		if had == nil {
			first[e.Account()] = e
		} else if had.AWS.ProductCode != e.AWS.ProductCode && (changed[e.ID] || changed[had.ID]) {
			return meter.Errorf(meter.KindInvalid, "entitlement %s: the licence and account are those of entitlement %s, whose product_code is another", meter.Clip(e.ID), meter.Clip(had.ID))
		}
	}
	return nil
}

// keepListings notes which entitlements of an edited document are as they were:
// what was taken before a form was known does not stand in the way of other changes.
func (doc *Document) keepListings(before []Entitlement) {
	had := map[string]*Entitlement{}
	for i := range before {
		had[before[i].ID] = &before[i]
	}
	doc.kept = map[string]bool{}
	for i := range doc.Entitlements {
		e := &doc.Entitlements[i]
		doc.kept[e.ID] = had[e.ID] != nil && reflect.DeepEqual(*had[e.ID], *e)
	}
}
