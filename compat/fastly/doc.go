// Package fastly runs the vendor's own clients against `odometer serve`:
// Python's fastly of the generation that speaks v2 and a current one that
// speaks v3, and JavaScript's fastly 13.0.0. It holds tests only.
package fastly
