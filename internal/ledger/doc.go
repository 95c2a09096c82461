// Package ledger counts usage: an ordered, durable log of blocks of events
// and a fold of that log that judges every event once and keeps the totals.
//
// The log is the truth; identities, cells, dictionaries and verdicts are a
// pure function of it and can be rebuilt from it at any time.
//
//	Append:  Builder ─► encode ─► log (one sync per group) ─► fold ─► answer
//	Usage:   cells (checkpoint + frozen + active)  or  a scan of blocks
//
// All methods of Ledger may be called from many goroutines.
package ledger
