package marketplace

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/sender"
	"odometer/internal/meter"
	"odometer/internal/rating"
)

// accountOf names who an entitlement bills, as the marketplace knows it:
// entitlements of one account share the lines of an hour. "" if the
// entitlement says nothing of it.
func accountOf(e *catalog.Entitlement) string {
	switch {
	case e.Partner == catalog.PartnerAWS && e.AWS != nil:
		return strings.Join([]string{"aws", e.AWS.ProductCode, e.AWS.CustomerIdentifier, e.AWS.AccountID, e.AWS.LicenseARN}, "|")
	case e.Partner == catalog.PartnerAzure && e.Azure != nil:
		return "azure|" + strings.ToLower(e.Azure.ResourceID)
	case e.Partner == catalog.PartnerGCP && e.GCP != nil:
		return strings.Join([]string{"gcp", e.GCP.Service, e.GCP.UsageReportingID}, "|")
	}
	return ""
}

// listingOf is what an operator has to let an organization report, see
// catalog.Entitlement.Listing; "" if the line does not say who is billed.
func listingOf(l sender.Line) string {
	switch {
	case l.AWS != nil && l.AWS.LicenseARN != "":
		return l.AWS.LicenseARN
	case l.AWS != nil:
		return l.AWS.ProductCode
	case l.Azure != nil:
		return strings.ToLower(l.Azure.ResourceID)
	case l.GCP != nil:
		return l.GCP.Service
	}
	return ""
}

// allowed says which lines an operator lets their organizations send. It reads
// what is allowed once for each listing.
func (r *Reporter) allowed(ctx context.Context) func(*billing.Line) bool {
	type key struct{ organization, partner, listing string }
	known := map[key]bool{}
	return func(l *billing.Line) bool {
		var t sender.Line
		if err := json.Unmarshal(l.Target, &t); err != nil || listingOf(t) == "" {
			return true // nobody is billed by it
		}
		k := key{l.Organization, l.Partner, listingOf(t)}
		may, read := known[k]
		if !read {
			var err error
			if may, err = r.o.Accounts.MayReport(ctx, k.organization, k.partner, k.listing); err != nil {
				r.logger.Error("what an organization may report cannot be read", "organization", k.organization, "error", err)
			}
			known[k] = may
		}
		return may
	}
}

// operations is the namespace of operation ids.
var operations = uuid.MustParse("9c1d1a52-6f0e-5a0b-8f43-6a2f5e5c7b10")

// operationID is the same for the same organization, account, dimension and
// hour, whoever computes it and whenever: a UUIDv5.
func operationID(organization, account, dimension string, hour time.Time) string {
	return uuid.NewSHA1(operations, []byte(strings.Join([]string{organization, account, dimension, hour.UTC().Format(time.RFC3339)}, "\xff"))).String()
}

// targetOf is the frozen line of a dimension; false if the entitlement does
// not say how it is billed there.
func targetOf(e *catalog.Entitlement, organization, account, dimension string, hour time.Time, quantity meter.Decimal) (sender.Line, bool) {
	l := sender.Line{OperationID: operationID(organization, account, dimension, hour), Dimension: dimension, Hour: hour.UTC(), Quantity: quantity}
	switch {
	case e.AWS != nil && e.Partner == catalog.PartnerAWS:
		l.AWS = &sender.AWSAccount{ProductCode: e.AWS.ProductCode, CustomerIdentifier: e.AWS.CustomerIdentifier, AccountID: e.AWS.AccountID,
			LicenseARN: e.AWS.LicenseARN, Region: e.AWS.Region}
	case e.Azure != nil && e.Partner == catalog.PartnerAzure:
		l.Azure = &sender.AzureAccount{ResourceID: e.Azure.ResourceID, PlanID: e.Azure.PlanID}
	case e.GCP != nil && e.Partner == catalog.PartnerGCP:
		metric, ok := e.GCP.Metrics[dimension]
		if !ok {
			return l, false
		}
		l.GCP = &sender.GCPAccount{Service: e.GCP.Service, ConsumerID: e.GCP.UsageReportingID, Metric: metric.Name, Type: metric.Type}
	default:
		return l, false
	}
	return l, true
}

// formatOf is the form in which a dimension's quantities are sent.
func formatOf(e *catalog.Entitlement, dimension string) rating.Format {
	switch {
	case e.Partner == catalog.PartnerAzure:
		return rating.FormatAzure
	case e.Partner == catalog.PartnerGCP && e.GCP != nil && e.GCP.Metrics[dimension].Type == sender.GCPDouble:
		return rating.FormatGCPDouble
	case e.Partner == catalog.PartnerGCP:
		return rating.FormatGCPInt
	}
	return rating.FormatAWS
}

// mappingOf is a partner's mapping. Values that cannot be read were refused
// when they were set.
func mappingOf(c billing.MeteringConfig) rating.Mapping {
	m := rating.Mapping{Enabled: c.EnableMapping, V1: map[string]rating.Destination{}, V2: map[string][]rating.Destination{}}
	to := func(v billing.MappingValue) rating.Destination {
		multiplier, err := meter.ParseDecimal(v.Multiplier)
		if err != nil {
			multiplier = meter.Decimal{}
		}
		return rating.Destination{Dimension: v.Dimension, Mode: rating.Mode(v.Mode), Multiplier: multiplier}
	}
	for source, v := range c.Mapping {
		m.V1[source] = to(v)
	}
	for source, vs := range c.MappingV2 {
		for _, v := range vs {
			m.V2[source] = append(m.V2[source], to(v))
		}
	}
	return m
}
