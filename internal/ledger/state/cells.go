package state

import (
	"slices"
	"time"

	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// contractAttribute is the second attribute of the (customer, contract) projection.
const contractAttribute = "contract"

// Cells is how the cells of a meter are stored; it follows from the definition
// and does not change.
type Cells struct {
	Org     string
	Kind    cell.Kind
	Width   time.Duration // of a slot
	Order   []string      // group_by with the customer first: the order of cell keys
	version uint32
	store   uint32
	column  int
	sampled bool
}

// Cells returns how the cells of an organization's meter are stored.
func (r *MeterRecord) Cells(org string) Cells {
	return Cells{Org: org, Kind: cell.KindFor(r.Meter.Aggregation), Width: r.Meter.SlotWidth(), Order: cellOrder(r.Meter.GroupBy), version: r.Version,
		store: r.StoreVersion(), column: r.Column, sampled: r.Meter.Sampled()}
}

// Layout says where the meter's chunks lie.
func (c *Cells) Layout() cell.Layout {
	return cell.Layout{Prefix: []byte{KeyCell}, Org: c.Org, Version: c.version, Store: c.store, Column: c.column, Kind: c.Kind, Groups: len(c.Order),
		SlotsPerDay: int(24 * time.Hour / c.Width)}
}

// Projections are the groupings kept for the meter: all of its attributes,
// the customer alone, the total, and (customer, contract) for sampled meters.
func (c *Cells) Projections() []cell.Projection {
	out := []cell.Projection{{ID: cell.ProjectionAll}}
	customer := slices.Index(c.Order, meter.CustomerAttribute)
	if customer >= 0 && len(c.Order) > 1 {
		out = append(out, cell.Projection{ID: cell.ProjectionCustomer, Take: []int{customer}})
	}
	if len(c.Order) > 0 {
		out = append(out, cell.Projection{ID: cell.ProjectionTotal})
	}
	if contract := slices.Index(c.Order, contractAttribute); c.sampled && customer >= 0 && contract >= 0 && len(c.Order) > 2 {
		out = append(out, cell.Projection{ID: cell.ProjectionCustomerContract, Take: []int{customer, contract}})
	}
	return out
}

// cellOrder puts the customer first so that one customer's cells are neighbours.
func cellOrder(groupBy []string) []string {
	out := make([]string, 0, len(groupBy))
	for _, g := range groupBy {
		if g == meter.CustomerAttribute {
			out = append(out, g)
		}
	}
	for _, g := range groupBy {
		if g != meter.CustomerAttribute {
			out = append(out, g)
		}
	}
	return out
}
