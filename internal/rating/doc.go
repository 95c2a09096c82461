// Package rating is the exact arithmetic between accepted usage and what a
// marketplace is told: pure functions over decimals, without clock or store.
//
//	records as posted ──Mapping.Map──► usage per destination dimension (frozen in the group)
//	usage of an hour ──Absorb──► absorbed by credit, commit, included │ left to bill
//	left to bill ──AtListPrice──► adjusted ──Carry──► sent │ carried to the next hour
//
// Products stay exact. A quotient is rounded once, half to even, to
// meter.QuotientPlaces decimals, and what comes out is the usage from then on.
package rating
