// Package thousandeyes runs the vendor's own clients against `odometer serve`:
// Python's thousandeyes-sdk-usage, the oldest and the newest release, and Go's
// thousandeyes-sdk-go. It holds tests only.
package thousandeyes
