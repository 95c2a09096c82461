// Package meter holds the words and the arithmetic of metering: quantities,
// events, meters with their filters, windows, periods and percentiles, what is
// asked of usage and how it is answered (usage.go), and the kinds of error. It is pure: no input or output, no clock, no floating point.
//
//	event ──► Filter.Match ──► Value.Numeric ──► Quantity ──► Sum ──► Decimal
//	   │                                         int128      int192   any size
//	   └────► Window.Start (the slot or row it belongs to)
//
// A Quantity is what one event carries (exact, 26 digits before and 12 after
// the point), a Sum adds quantities and cannot overflow, a Decimal is what an
// answer is computed in and rendered from.
package meter
