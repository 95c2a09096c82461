package httpserver

import (
	"cmp"
	"time"
)

// Limits bounds what one server takes from the network. The zero value of a
// field means its default.
type Limits struct {
	BodyBytes             int64         // a request body as sent, compressed or not
	DecompressedBytes     int64         // a body after gzip or zstd
	BodiesInFlight        int64         // bytes of all bodies held at once; beyond it requests get 429
	HeaderBytes           int           // request line and headers
	Connections           int           // open at once; a further one closes one without a request, or waits
	ConnectionsPerAddress int           // open at once from one address; a further one closes one without a request, or is closed
	HeaderTimeout         time.Duration // to send the headers
	BodyGrace             time.Duration // before BodyRate counts
	BodyRate              int64         // bytes per second below which a body is given up
	BodyTimeout           time.Duration // for a whole body, however fast
	ResponseTimeout       time.Duration // from the end of the headers to the last byte of the answer
	IdleTimeout           time.Duration // between requests of one connection; shorter as more than half of Connections are open
	ShutdownGrace         time.Duration // for requests in progress when the server stops
}

// DefaultLimits returns the defaults named in docs/operations.md.
func DefaultLimits() Limits {
	return Limits{
		BodyBytes: 16 << 20, DecompressedBytes: 64 << 20, BodiesInFlight: 160 << 20, HeaderBytes: 64 << 10,
		Connections: 8192, ConnectionsPerAddress: 4096, HeaderTimeout: 10 * time.Second, BodyGrace: 10 * time.Second, BodyRate: 8 << 10,
		BodyTimeout: 5 * time.Minute, ResponseTimeout: 10 * time.Minute, IdleTimeout: 2 * time.Minute,
		ShutdownGrace: 10 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	l.BodyBytes = cmp.Or(l.BodyBytes, d.BodyBytes)
	l.DecompressedBytes = cmp.Or(l.DecompressedBytes, d.DecompressedBytes)
	l.BodiesInFlight = cmp.Or(l.BodiesInFlight, d.BodiesInFlight)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, d.HeaderBytes)
	l.Connections = cmp.Or(l.Connections, d.Connections)
	l.ConnectionsPerAddress = cmp.Or(l.ConnectionsPerAddress, d.ConnectionsPerAddress)
	l.HeaderTimeout = cmp.Or(l.HeaderTimeout, d.HeaderTimeout)
	l.BodyGrace = cmp.Or(l.BodyGrace, d.BodyGrace)
	l.BodyRate = cmp.Or(l.BodyRate, d.BodyRate)
	l.BodyTimeout = cmp.Or(l.BodyTimeout, d.BodyTimeout)
	l.ResponseTimeout = cmp.Or(l.ResponseTimeout, d.ResponseTimeout)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, d.IdleTimeout)
	l.ShutdownGrace = cmp.Or(l.ShutdownGrace, d.ShutdownGrace)
	return l
}
