// Package akamai runs the vendor's own EdgeGrid clients, for Python, Go and
// Node, against `odometer serve`. It holds tests only.
package akamai
