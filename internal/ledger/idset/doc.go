// Package idset is the exactly-once index: it remembers every identity that
// was ever accepted, with a check of its content and the place of its event.
package idset
