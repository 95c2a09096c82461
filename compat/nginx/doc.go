// Package nginx meters a real web server: Debian's nginx serves real requests,
// `odometer ingest` sends its access log to `odometer serve`, and hits and
// bytes per status and path are compared with what awk counts in the same
// file. It holds tests only.
package nginx
