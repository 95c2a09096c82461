package httpserver

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is a registry of its own with what the HTTP server measures.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	codes    *prometheus.CounterVec
	panics   prometheus.Counter
	unrouted routeTimer
	page     http.Handler
}

// NewMetrics makes a registry that also holds the Go runtime's and the process's figures.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "odometer_http_request_duration_seconds", Help: "Time from the end of a request's headers to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"surface", "method", "route", "status"}),
		codes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "odometer_http_requests_total", Help: "Requests that were answered, by status code.",
		}, []string{"surface", "method", "route", "code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "odometer_http_panics_total", Help: "Requests that ended in a panic."}),
	}
	m.unrouted.m, m.unrouted.surface = m, "none"
	m.registry.MustRegister(m.requests, m.codes, m.panics, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.page = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

// Register adds a collector; registering the same one twice is an error.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// watch adds the figures of one server. A second server on the same registry keeps the first's.
func (m *Metrics) watch(s *Server) {
	_ = m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "odometer_http_body_bytes", Help: "Bytes of request bodies held in memory.",
	}, func() float64 { return float64(s.budget.Used()) }))
	_ = m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "odometer_http_body_bytes_limit", Help: "Limit of odometer_http_body_bytes; beyond it requests are answered 429.",
	}, func() float64 { return float64(s.budget.Most()) }))
}

// routeTimer holds a route's histograms by class of status, and its counters by
// status, each made when it is first needed, so that a request compares no labels.
type routeTimer struct {
	m                     *Metrics
	surface, method, path string
	classes               [len(statusClasses)]atomic.Pointer[prometheus.Observer]
	codes                 sync.Map // status -> prometheus.Counter
}

var statusClasses = [...]string{"", "1xx", "2xx", "3xx", "4xx", "5xx"} // by status/100

func (m *Metrics) timer(surface, method, path string) *routeTimer {
	return &routeTimer{m: m, surface: surface, method: method, path: path}
}

func (t *routeTimer) class(i int) prometheus.Observer {
	if o := t.classes[i].Load(); o != nil {
		return *o
	}
	o := t.m.requests.WithLabelValues(t.surface, t.method, t.path, statusClasses[i])
	t.classes[i].Store(&o)
	return o
}

// code is the counter of one status. Statuses come from the handlers, never
// from a request, so that they are few.
func (t *routeTimer) code(status int) prometheus.Counter {
	if c, ok := t.codes.Load(status); ok {
		return c.(prometheus.Counter)
	}
	c := t.m.codes.WithLabelValues(t.surface, t.method, t.path, strconv.Itoa(status))
	t.codes.Store(status, c)
	return c
}

// observe counts one request. Those without a route share one series, so that
// a scanner of paths cannot make any number of them.
func (m *Metrics) observe(x *Exchange, took time.Duration) {
	status := x.status
	if x.counted != 0 {
		status = x.counted
	}
	class := status / 100
	if class < 2 || class > 5 {
		class = 5
	}
	t := &m.unrouted
	if x.route != nil {
		t = x.route.timer
	}
	t.class(class).Observe(took.Seconds())
	t.code(status).Inc()
}
