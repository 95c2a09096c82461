package rating

import (
	"maps"
	"slices"

	"odometer/internal/meter"
)

// Step is one of the things that usage is taken from before it is billed.
type Step uint8

// The steps of absorption.
const (
	StepCredit   Step = iota // money given to the customer
	StepCommit               // money that the customer has paid for already
	StepIncluded             // a quantity of each dimension that costs nothing
)

// DefaultOrder is the order in which usage is absorbed: credit, then commit,
// then the included quantity.
var DefaultOrder = []Step{StepCredit, StepCommit, StepIncluded}

// Balances are what is left to absorb with. A balance below 0 counts as 0.
type Balances struct {
	Credit   meter.Decimal            // money
	Commit   meter.Decimal            // money; 0 where the commit does not hold usage back
	Included map[string]meter.Decimal // quantity by dimension
}

// Absorbed says what became of the usage of one dimension:
// usage = Credit + Commit + Included + Left.
type Absorbed struct {
	Credit, Commit, Included  meter.Decimal // quantities
	CreditAmount, CommitSpent meter.Decimal // what they took from the balances, money
	Left                      meter.Decimal // quantity to bill
}

// Absorb takes the usage of each dimension from the balances in the given
// order of steps. Within a step dimensions take turns in ascending order of
// their keys.
//
// Money absorbs quantity times unit price, exactly. Where less money is left
// than the quantity costs, it absorbs money divided by the price, one
// quotient, and is used up whole. Money absorbs nothing of a dimension without
// a unit price above 0, and nothing is absorbed of usage below 0.
func Absorb(usage, unitPrices map[string]meter.Decimal, b Balances, order []Step) map[string]Absorbed {
	out := make(map[string]Absorbed, len(usage))
	for dimension, quantity := range usage {
		out[dimension] = Absorbed{Left: quantity}
	}
	dimensions := slices.Sorted(maps.Keys(usage))
	for _, step := range order {
		for _, dimension := range dimensions {
			a := out[dimension]
			switch step {
			case StepCredit:
				var spent meter.Decimal
				a.Credit, spent = spend(a.Left, unitPrices[dimension], b.Credit)
				a.CreditAmount, b.Credit = spent, b.Credit.Sub(spent)
				a.Left = a.Left.Sub(a.Credit)
			case StepCommit:
				var spent meter.Decimal
				a.Commit, spent = spend(a.Left, unitPrices[dimension], b.Commit)
				a.CommitSpent, b.Commit = spent, b.Commit.Sub(spent)
				a.Left = a.Left.Sub(a.Commit)
			case StepIncluded:
				a.Included = least(a.Left, b.Included[dimension])
				a.Left = a.Left.Sub(a.Included)
			}
			out[dimension] = a
		}
	}
	return out
}

// spend returns how much of quantity the money absorbs and what that takes.
func spend(quantity, price, money meter.Decimal) (absorbed, spent meter.Decimal) {
	if quantity.Sign() <= 0 || price.Sign() <= 0 || money.Sign() <= 0 {
		return meter.Decimal{}, meter.Decimal{}
	}
	if cost := quantity.Mul(price); cost.Cmp(money) <= 0 {
		return quantity, cost
	}
	return least(quantity, money.Quo(price)), money
}

// least returns the smaller of two quantities, and 0 if one is below it.
func least(a, b meter.Decimal) meter.Decimal {
	if b.Cmp(a) < 0 {
		a = b
	}
	if a.Sign() < 0 {
		return meter.Decimal{}
	}
	return a
}

// AtListPrice converts an overage so that a marketplace that bills it at the
// unit price bills it at the list price: overage times list price divided by
// unit price, one quotient. Without both prices above 0 it is left as it is.
func AtListPrice(overage, unitPrice, listPrice meter.Decimal) meter.Decimal {
	if unitPrice.Sign() <= 0 || listPrice.Sign() <= 0 || unitPrice.Cmp(listPrice) == 0 {
		return overage
	}
	return overage.Mul(listPrice).Quo(unitPrice)
}
