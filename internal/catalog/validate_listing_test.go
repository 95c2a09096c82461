package catalog_test

import (
	"strings"
	"testing"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// TestListingForms: a document names a buyer in exactly the forms that the
// marketplaces take; anything else is refused with its line.
func TestListingForms(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:license-manager::294406891311:license/l-0d5f"
	const guid = "7f2c6f7e-0000-4000-8000-000000000001"
	entitlement := func(partner, listing string) string {
		return "entitlements:\n- id: e\n  customer: acme\n  product: cdn\n  starts: 2026-01-01\n  dimensions: [{key: gb}]\n  partner: " + partner + "\n  " + listing + "\n"
	}
	for _, c := range []struct{ partner, listing, wrong string }{
		{"AWS", "aws: {product_code: p1, customer_identifier: c1}", ""},
		{"AWS", "aws: {product_code: p1, account_id: \"123456789012\"}", ""},
		{"AWS", "aws: {product_code: p1, account_id: 012345678901}", ""},
		{"AWS", "aws: {product_code: p1, account_id: \"123456789012\", license_arn: '" + arn + "'}", ""},
		{"AWS", "aws: {account_id: \"123456789012\", license_arn: '" + arn + "'}", ""},
		{"AWS", "aws: {account_id: \"123456789012\", license_arn: 'arn:aws-us-gov:license-manager:us-gov-west-1:294406891311:license:l-1'}", ""},
		{"AWS", "aws: {product_code: p1, license_arn: '" + arn + "'}", "account_id: is required"},
		{"AWS", "aws: {license_arn: '" + arn + "'}", "account_id: is required"},
		{"AWS", "aws: {product_code: p1, account_id: abc}", "12 digits"},
		{"AWS", "aws: {product_code: p1, account_id: \"12345678901\"}", "12 digits"},
		{"AWS", "aws: {product_code: p1, account_id: \"1234567890123\"}", "12 digits"},
		{"AWS", "aws: {product_code: p1, account_id: 1234-5678-9012}", "12 digits"},
		{"AWS", "aws: {product_code: p1, account_id: abc, license_arn: '" + arn + "'}", "12 digits"},
		{"AWS", "aws: {product_code: p1, account_id: \"123456789012\", license_arn: l-1}", "ARN"},
		{"AWS", "aws: {product_code: p1, account_id: \"123456789012\", license_arn: 'arn:aws:s3:::bucket'}", "ARN"},
		{"AWS", "aws: {product_code: p1}", "customer_identifier"},
		{"AWS", "aws: {product_code: p1, customer_identifier: c1, account_id: \"123456789012\"}", "does not go with customer_identifier"},
		{"AWS", "aws: {product_code: p1, customer_identifier: c1, license_arn: '" + arn + "'}", "account_id: is required"},
		{"AWS", "aws: {product_code: p1, customer_identifier: c1, account_id: \"123456789012\", license_arn: '" + arn + "'}", "does not go with license_arn"},
		{"AWS", "aws: {customer_identifier: c1}", "product_code: is required"},
		{"AWS", "aws: {account_id: \"123456789012\"}", "product_code: is required"},
		{"AWS", "aws: {product_code: a b, customer_identifier: c1}", "a product code"},
		{"AWS", "aws: {product_code: p1, customer_identifier: c1, region: nowhere}", "a region"},
		{"AWS", "aws: {product_code: p1, customer_identifier: c1, region: evil.example/}", "a region"},
		{"AWS", "aws: {product_code: p1, customer_identifier: c1, region: us-gov-west-1}", ""},
		{"AWS", "azure: {resource_id: " + guid + ", plan_id: gold}", "the partner is AWS"},
		{"AZURE", "azure: {resource_id: " + guid + ", plan_id: gold}", ""},
		{"AZURE", "azure: {resource_id: " + strings.ToUpper(guid) + ", plan_id: gold}", ""},
		{"AZURE", "azure: {resource_id: azure-1, plan_id: gold}", "a GUID"},
		{"AZURE", "azure: {resource_id: '{" + guid + "}', plan_id: gold}", "a GUID"},
		{"AZURE", "azure: {resource_id: /subscriptions/" + guid + "/resourceGroups/x, plan_id: gold}", "a GUID"},
		{"AZURE", "azure: {resource_id: " + guid + "}", "plan_id: is required"},
		{"AZURE", "azure: {plan_id: gold}", "resource_id: is required"},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'project_number:1', metrics: {gb: {name: cdn.example.com/gb, type: INT64}}}", ""},
		{"GCP", "gcp: {service: cdn.endpoints.acme.cloud.goog, usage_reporting_id: 'project:acme-1'}", ""},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'projects/12'}", ""},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'folders/12'}", ""},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'organizations/12'}", ""},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'api_key:AIza_x'}", ""},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: gcp-1}", "a consumer"},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'project_number:acme'}", "a consumer"},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'project:'}", "a consumer"},
		{"GCP", "gcp: {service: cdn.example.com}", "usage_reporting_id: is required"},
		{"GCP", "gcp: {service: 'cdn/../x', usage_reporting_id: 'project:a'}", "a service"},
		{"GCP", "gcp: {service: cdn, usage_reporting_id: 'project:a'}", "a service"},
		{"GCP", "gcp: {usage_reporting_id: 'project:a'}", "service: is required"},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'project:a', metrics: {gb: {name: 'a b', type: INT64}}}", "a metric"},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'project:a', metrics: {gb: {name: gb, type: FLOAT}}}", "INT64, DOUBLE"},
		{"GCP", "gcp: {service: cdn.example.com, usage_reporting_id: 'project:a', metrics: {seat: {name: gb, type: INT64}}}", "no such dimension"},
	} {
		doc, err := catalog.ParseDocument([]byte(entitlement(c.partner, c.listing)))
		if err == nil {
			err = doc.Validate()
		}
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.listing, err)
		case c.wrong != "" && (err == nil || meter.KindOf(err) != meter.KindInvalid || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), "line 8")):
			t.Errorf("%s: %v, want %q of line 8", c.listing, err, c.wrong)
		}
	}
}
