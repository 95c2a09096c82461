// Package billing has the words of what lies between usage that is reported
// against an entitlement and what a marketplace is told:
//
//	RecordGroup ──► Portion of a Report ──► Line ──► marketplace
//	  as reported     one dimension, hour      one account, dimension, hour
//
// It does no I/O; store/records keeps them, and package rating has the arithmetic.
package billing
