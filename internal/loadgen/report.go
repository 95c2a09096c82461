package loadgen

import "time"

// Report holds the figures of one run, as --json prints them.
type Report struct {
	Profile     string        `json:"profile"`
	Seed        uint64        `json:"seed"`
	Connections int           `json:"connections"`
	Batch       int           `json:"batch"`
	Drawn       *DrawnShape   `json:"drawn,omitempty"`
	Elapsed     time.Duration `json:"elapsed_ns"`
	Requests    uint64        `json:"requests"`
	Verdicts    Verdicts      `json:"verdicts"`
	Overloaded  uint64        `json:"overloaded"`
	Uncertain   uint64        `json:"uncertain"`

	EventsPerSecond   uint64   `json:"events_per_second"`
	RequestsPerSecond uint64   `json:"requests_per_second"`
	WorstPerSecond    *uint64  `json:"worst_events_per_second,omitempty"` // over the worst two seconds, without the first and the last one of the run; nil for a short run
	FirstPerSecond    uint64   `json:"first_events_per_second,omitempty"` // over the first tenth of the events
	LastPerSecond     uint64   `json:"last_events_per_second,omitempty"`  // over the last tenth
	LastPercent       uint64   `json:"last_percent_of_first,omitempty"`
	Ceiling           *Ceiling `json:"ceiling,omitempty"`

	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`

	ServerCPUPerEvent    time.Duration `json:"server_cpu_per_event_ns,omitempty"`
	GeneratorCPUPerEvent time.Duration `json:"generator_cpu_per_event_ns,omitempty"`
	ServerResident       int64         `json:"server_resident_bytes,omitempty"`
	ServerResidentPeak   int64         `json:"server_resident_peak_bytes,omitempty"` // of samples taken every second
	DiskBytesPerEvent    int64         `json:"disk_bytes_per_event,omitempty"`

	Queries []QueryTimes `json:"queries,omitempty"`
	Agrees  bool         `json:"totals_agree"`

	Mismatch error `json:"-"` // how the server's figures differ from what was sent; nil if they agree
}

// DrawnShape is how large a load is whose customers and services are drawn anew for each event.
type DrawnShape struct {
	Customers     int           `json:"customers"`
	Services      int           `json:"services"`
	Meters        int           `json:"meters"`
	Organizations int           `json:"organizations"`
	Span          time.Duration `json:"span_ns"`
}

// QueryTimes are those of one query.
type QueryTimes struct {
	Name   string        `json:"name"`
	Rows   int           `json:"rows"`
	Source string        `json:"source"`
	P50    time.Duration `json:"p50_ns"`
	Max    time.Duration `json:"max_ns"`
	Error  string        `json:"error,omitempty"` // why there is no answer
}

func (r *Report) take(plan Plan, result *Result) {
	r.Profile, r.Seed, r.Connections, r.Batch = plan.Profile.Name, plan.Seed, plan.Connections, plan.Profile.Batch
	if p := plan.Profile; p.Drawn {
		r.Drawn = &DrawnShape{p.Customers, p.Services, p.Meters, p.organizations(), p.Span}
	}
	r.Elapsed, r.Requests, r.Verdicts = result.Elapsed, result.Requests, result.Verdicts
	r.Overloaded, r.Uncertain = result.Overloaded, result.Uncertain
	r.EventsPerSecond = perSecond(result.Verdicts.Sum(), result.Elapsed)
	r.RequestsPerSecond = perSecond(result.Requests, result.Elapsed)
	r.WorstPerSecond = result.Pace.worst()
	r.FirstPerSecond, r.LastPerSecond = result.Pace.ends()
	r.LastPercent = r.LastPerSecond * 100 / max(1, r.FirstPerSecond)
	r.P50, r.P99, r.P999, r.Max = result.P50, result.P99, result.P999, result.Max
}

func (r *Report) takeProcess(before, after usage, peak int64, result *Result) {
	events := time.Duration(max(1, result.Verdicts.Sum()))
	if after.serverCPU > 0 {
		r.ServerCPUPerEvent = (after.serverCPU - before.serverCPU) / events
	}
	r.GeneratorCPUPerEvent = (after.ownCPU - before.ownCPU) / events
	r.ServerResident = after.resident
	r.ServerResidentPeak = max(peak, after.resident)
}

// perSecond is a rate, rounded down.
func perSecond(n uint64, d time.Duration) uint64 {
	return uint64(float64(n) / max(d.Seconds(), 1e-9))
}
