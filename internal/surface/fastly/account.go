package fastly

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"odometer/internal/httpserver"
	"odometer/internal/meter"
	"odometer/internal/metering"
	"odometer/internal/surface/fastly/wire"
)

// Account is a customer and what its organization sells.
type Account struct {
	Customer string
	Lines    []Line
	Services map[string]string // the customer's: name by id, also of services that were removed
}

// Line is one usage type of a product.
type Line struct {
	Product   string // id
	UsageType metering.UsageType
}

const (
	surfaceName      = "fastly" // also in metering.UsageType.Surfaces
	serviceAttribute = "service"
	regionAttribute  = "region"
)

// account returns the customer of a request, the one its path names or the one
// its key is bound to, with the lines that can be shown: those whose meter
// keeps services apart.
func (a api) account(x *httpserver.Exchange, customer string) (Account, error) {
	ctx, p := x.Request.Context(), x.Principal
	meters, err := a.Service.Meters(ctx, p)
	if err != nil {
		return Account{}, err
	}
	if customer == "" {
		return Account{}, meter.Errorf(meter.KindUnauthenticated, "this key is not bound to a customer")
	}
	if p.Customer != "" && p.Customer != customer {
		return Account{}, meter.Errorf(meter.KindNotFound, "another customer's key")
	}
	account, err := a.Account(ctx, p, customer)
	if err != nil {
		return Account{}, err
	}
	byService := map[string]bool{}
	for _, m := range meters {
		byService[m.Key] = slices.Contains(m.GroupBy, serviceAttribute)
	}
	account.Lines = slices.DeleteFunc(slices.Clone(account.Lines), func(l Line) bool {
		return !l.UsageType.ShownOn(surfaceName) || !byService[l.UsageType.Meter]
	})
	slices.SortFunc(account.Lines, func(a, b Line) int {
		return cmp.Or(strings.Compare(a.Product, b.Product), strings.Compare(a.UsageType.Name, b.UsageType.Name))
	})
	return account, nil
}

// usage asks for a line of the account in a range, which may be empty.
func (a api) usage(ctx context.Context, p metering.Principal, account Account, l Line, in meter.Period, by ...string) ([]metering.ProductRow, error) {
	if !in.From.Before(in.To) {
		return nil, nil
	}
	return a.Service.ProductUsage(ctx, p, metering.ProductQuery{Product: l.Product, UsageType: l.UsageType,
		Customers: []string{account.Customer}, From: in.From, To: in.To, By: by})
}

// unit is the line's unit on the wire.
func (l Line) unit() string { return cmp.Or(l.UsageType.Unit, wire.NoUnit) }
