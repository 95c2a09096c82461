// Package cloudevents sends events to `odometer serve` with the SDKs of
// CloudEvents: Python's, Go's, JavaScript's and Java's. It holds tests only.
package cloudevents
