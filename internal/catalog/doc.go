// Package catalog is what a catalog says, without the database that keeps it:
// the entries (products, customers with what is theirs, entitlements), the
// document that they are written in, and their history.
//
//	text ── ParseDocument ──► Document ── Validate ──► State.Applied ──► State.Plan ──► Plan
//	                                                      ▲ versions of what there is      │ steps, for the store
//	                                                      └─────────────◄──────────────────┘
//
// A View is what requests read: all entries of an organization with their
// history, in memory. Errors are meter.Error and name the lines of a document.
package catalog
