package httpserver

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"odometer/internal/meter"
)

// MetricsAccess says who may read /metrics, which names the organizations.
type MetricsAccess string

// The settings of MetricsAccess. Nothing is open by itself, not even on
// loopback: a proxy on the same machine makes loopback public.
const (
	metricsOperator MetricsAccess = "operator" // a key with the operator right (the default)
	metricsOpen     MetricsAccess = "open"     // anyone who can connect
)

const systemName = "system"

func (s *Server) systemSurface() *Surface {
	return &Surface{Name: systemName, Routes: []Route{
		{Method: http.MethodGet, Path: "/healthz", Public: true, Handle: s.healthz},
		{Method: http.MethodGet, Path: "/readyz", Public: true, Handle: s.readyz},
		{Method: http.MethodGet, Path: "/metrics", Public: true, Handle: s.metricsPage},
	}}
}

// healthz answers 200 while the process can answer at all.
func (s *Server) healthz(x *Exchange) error { return x.text("ok\n") }

// readyz answers 200 when requests sent here would be served, else 503 with the reason.
func (s *Server) readyz(x *Exchange) error {
	service := s.served()
	if service == nil {
		return errStarting
	}
	if err := service.Ready(x.Request.Context()); err != nil {
		return err
	}
	return x.text("ready\n")
}

func (x *Exchange) text(body string) error {
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.Header()["Cache-Control"] = noStore
	_, err := x.Write([]byte(body))
	return err
}

func (s *Server) metricsPage(x *Exchange) error {
	if s.access != metricsOpen {
		service := s.served()
		if service == nil {
			return errStarting
		}
		p, err := x.BearerAuth(service)
		if err != nil {
			x.keyRefused(err)
			return err
		}
		if !p.Operator {
			return meter.Errorf(meter.KindForbidden, "only a key with the operator right may read the metrics of all organizations")
		}
	}
	s.metrics.page.ServeHTTP(x, x.Request)
	return nil
}

// Ready opens the server for requests beyond health, and adds the service's figures to the metrics.
func (s *Server) Ready(service Service, figures prometheus.Collector) error {
	if err := s.metrics.Register(figures); err != nil {
		return fmt.Errorf("register the metrics of the ledger: %w", err)
	}
	s.serve(service)
	return nil
}

func (s *Server) serve(service Service) { s.service.Store(&service) }

// served is the service that is Ready; nil before.
func (s *Server) served() Service {
	if service := s.service.Load(); service != nil {
		return *service
	}
	return nil
}

// pprofServer serves net/http/pprof on a loopback address of its own.
type pprofServer struct {
	listener net.Listener
	http     *http.Server
}

func newPprofServer(addr string) (*pprofServer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for pprof: %w", addr, err)
	}
	if t, ok := l.Addr().(*net.TCPAddr); !ok || !t.IP.IsLoopback() {
		_ = l.Close()
		return nil, fmt.Errorf("pprof may only listen on a loopback address, not on %s", addr)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &pprofServer{listener: l, http: &http.Server{Handler: onlyLocal(mux), ReadHeaderTimeout: DefaultLimits().HeaderTimeout}}, nil
}

func (p *pprofServer) serve() error { return p.http.Serve(p.listener) }

// onlyLocal refuses requests that were meant for another host than this
// machine: a page in a browser here can ask for a name of its own that leads
// to loopback.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this address answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
