package httpserver

import "time"

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
	fill(&l.BodyBytes, d.BodyBytes)
	fill(&l.DecompressedBytes, d.DecompressedBytes)
	fill(&l.BodiesInFlight, d.BodiesInFlight)
	fill(&l.HeaderBytes, d.HeaderBytes)
	fill(&l.Connections, d.Connections)
	fill(&l.ConnectionsPerAddress, d.ConnectionsPerAddress)
	fill(&l.HeaderTimeout, d.HeaderTimeout)
	fill(&l.BodyGrace, d.BodyGrace)
	fill(&l.BodyRate, d.BodyRate)
	fill(&l.BodyTimeout, d.BodyTimeout)
	fill(&l.ResponseTimeout, d.ResponseTimeout)
	fill(&l.IdleTimeout, d.IdleTimeout)
	fill(&l.ShutdownGrace, d.ShutdownGrace)
	return l
}

func fill[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}
