package catalog

import (
	"slices"
	"strings"
	"time"

	"odometer/internal/meter"
)

const (
	// AnyListing is every listing of a partner that no organization was given by name.
	AnyListing = "*"
	// MaxListings bounds the listings of one organization.
	MaxListings = 10_000
)

// Listing is what an operator lets an organization report to a marketplace: a
// product code or a licence of AWS, a resource of Azure, a service of GCP, or AnyListing.
type Listing struct {
	Partner string    `json:"partner"`
	Listing string    `json:"listing"`
	Created time.Time `json:"created"`
}

// Listing is what an operator has to let the entitlement's organization report;
// "" if the entitlement does not say who is billed. AWS reads the product from
// the licence where there is one.
func (e *Entitlement) Listing() string {
	switch {
	case e.Partner == PartnerAWS && e.AWS != nil && e.AWS.LicenseARN != "":
		return e.AWS.LicenseARN
	case e.Partner == PartnerAWS && e.AWS != nil:
		return e.AWS.ProductCode
	case e.Partner == PartnerAzure && e.Azure != nil:
		return strings.ToLower(e.Azure.ResourceID)
	case e.Partner == PartnerGCP && e.GCP != nil:
		return e.GCP.Service
	}
	return ""
}

// Account is who is billed, as the marketplace tells buyers apart; "" if the
// entitlement does not say so.
func (e *Entitlement) Account() string {
	listing := e.Listing()
	switch {
	case listing == "":
		return ""
	case e.Partner == PartnerAWS:
		return strings.Join([]string{e.Partner, listing, e.AWS.CustomerIdentifier, e.AWS.AccountID}, "|")
	case e.Partner == PartnerAzure:
		return e.Partner + "|" + listing
	}
	return strings.Join([]string{e.Partner, listing, e.GCP.UsageReportingID}, "|")
}

// AllListings is every listing of every partner: what the first organization may report.
func AllListings(at time.Time) []Listing {
	return []Listing{{PartnerAWS, AnyListing, at}, {PartnerAzure, AnyListing, at}, {PartnerGCP, AnyListing, at}}
}

// CheckListings puts listings in order, as they are stored.
func CheckListings(given []Listing) ([]Listing, error) {
	if len(given) > MaxListings {
		return nil, meter.Errorf(meter.KindTooLarge, "%d listings: an organization has at most %d", len(given), MaxListings)
	}
	out := make([]Listing, len(given))
	for i, l := range given {
		switch {
		case l.Partner != PartnerAWS && l.Partner != PartnerAzure && l.Partner != PartnerGCP:
			return nil, meter.Errorf(meter.KindInvalid, "%s: partner %q: want one of AWS, AZURE, GCP", item("listings", i), meter.Clip(l.Partner))
		case !meter.PlainText(l.Listing, MaxNounIDBytes):
			return nil, meter.Errorf(meter.KindInvalid, "%s: listing: want 1 to %d bytes of UTF-8 without control characters", item("listings", i), MaxNounIDBytes)
		}
		out[i] = Listing{Partner: l.Partner, Listing: l.Listing}
		if l.Partner == PartnerAzure {
			out[i].Listing = strings.ToLower(l.Listing)
		}
	}
	slices.SortFunc(out, func(a, b Listing) int {
		return strings.Compare(a.Partner+"\x00"+a.Listing, b.Partner+"\x00"+b.Listing)
	})
	return slices.Compact(out), nil
}
