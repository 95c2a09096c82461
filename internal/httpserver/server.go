// Package httpserver carries every HTTP surface: one listener with limits on
// all it takes in, one middleware for ids, log, metrics and recovery from
// panics, one router, health and metrics pages.
//
//	conn ─► limits ─► request id ─► router ─► credential ─► handler ─► surface's error table
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/access"
	"odometer/internal/meter"
	"odometer/internal/share"
)

// Options configures a Server.
type Options struct {
	Listen        string // host:port; port 0 takes a free one
	TLSCert       string // PEM files; both or none
	TLSKey        string
	PprofListen   string // a loopback host:port for net/http/pprof; "" = off
	MetricsAccess MetricsAccess
	Limits        Limits
	Logger        *slog.Logger
	Clock         func() time.Time // nil = time.Now; the real time: connections get their deadlines by it
	Metrics       *Metrics         // nil = a new registry
}

// Service is what requests need of the one whom surfaces ask: *metering.Service.
type Service interface {
	// Ready returns nil while requests would be served.
	Ready(ctx context.Context) error
	// Authenticate returns the principal of a bearer token. organization is the
	// operator's choice to act on another one, "" for the key's own.
	Authenticate(ctx context.Context, token, organization string) (access.Principal, error)
	// KeyRefused notes a request whose key was refused.
	KeyRefused(ctx context.Context, surface, address string)
}

// Server serves surfaces on one listener.
type Server struct {
	limits  Limits
	logger  *requestLog
	now     func() time.Time
	metrics *Metrics
	access  MetricsAccess
	budget  *share.Budget // bytes of bodies
	ids     *requestIDs
	router  atomic.Pointer[router]
	service atomic.Pointer[Service] // nil until ready

	mu       sync.Mutex
	surfaces []*Surface

	certificate *certificate // nil = plain HTTP

	http     *http.Server
	listener net.Listener
	secure   bool
	pprof    *pprofServer
}

// New binds the listener, so that Addr is known; nothing is answered before Run.
func New(o Options) (*Server, error) {
	s := &Server{limits: o.Limits.withDefaults(), now: o.Clock, metrics: o.Metrics, access: o.MetricsAccess, ids: newRequestIDs()}
	if s.now == nil {
		s.now = time.Now
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s.logger = newRequestLog(o.Logger)
	s.budget = share.NewBudget(s.limits.BodiesInFlight)
	s.metrics.watch(s)
	var config *tls.Config
	if o.TLSCert != "" || o.TLSKey != "" {
		var err error
		if s.certificate, err = newCertificate(o.TLSCert, o.TLSKey, s.now, o.Logger); err != nil {
			return nil, err
		}
		config = &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12}
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	if o.PprofListen != "" {
		if s.pprof, err = newPprofServer(o.PprofListen); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	accepted := limitConnections(l, s.limits, s.now)
	s.listener = accepted
	s.secure = config != nil
	s.http = &http.Server{
		Handler:           s,
		TLSConfig:         config,
		ReadHeaderTimeout: s.limits.HeaderTimeout,
		WriteTimeout:      s.limits.ResponseTimeout,
		IdleTimeout:       s.limits.IdleTimeout,
		MaxHeaderBytes:    s.limits.HeaderBytes,
		ConnState:         accepted.state,
		ErrorLog:          log.New(&lineLog{log: s.logger, now: s.now}, "", 0),
	}
	s.Mount()
	return s, nil
}

// Addr is the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is the address as a client on this machine writes it.
func (s *Server) URL() string {
	scheme := "http"
	if s.secure {
		scheme = "https"
	}
	return scheme + "://" + s.Addr().String()
}

// ReloadCertificate reads the TLS certificate and key again; without TLS it
// does nothing. After an error the one before is served on.
func (s *Server) ReloadCertificate() error {
	if s.certificate == nil {
		return nil
	}
	return s.certificate.load()
}

// Mount adds surfaces; requests that are under way keep the routes they had.
func (s *Server) Mount(surfaces ...*Surface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.surfaces == nil {
		s.surfaces = []*Surface{s.systemSurface()}
	}
	s.surfaces = append(s.surfaces, surfaces...)
	s.router.Store(newRouter(s.surfaces, s.metrics))
}

// Run serves until ctx is done, then lets requests in progress finish for
// Limits.ShutdownGrace. It returns nil after such a stop.
func (s *Server) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return s.Close()
	}
	done := make(chan error, 2)
	var serving sync.WaitGroup
	defer serving.Wait() // both have ended, or are closed below
	serving.Go(func() {
		if s.secure {
			done <- s.http.ServeTLS(s.listener, "", "")
		} else {
			done <- s.http.Serve(s.listener)
		}
	})
	if s.pprof != nil {
		serving.Go(func() { done <- s.pprof.serve() })
	}
	select {
	case err := <-done:
		_ = s.Close()
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.ShutdownGrace)
	defer cancel()
	err := s.http.Shutdown(grace)
	_ = s.Close()
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop HTTP: %w", err)
	}
	return nil
}

// Close stops at once, without waiting for requests in progress.
func (s *Server) Close() error {
	if s.pprof != nil {
		_ = s.pprof.http.Close()
	}
	err := s.http.Close()
	_ = s.listener.Close()
	return err
}

var errStarting = meter.Errorf(meter.KindUnavailable, "the server is starting: it is reading its log")

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchanges.Get().(*Exchange)
	*x = Exchange{ResponseWriter: w, Request: r, server: s, control: http.NewResponseController(w), id: s.ids.of(r), start: s.now()}
	if r.Body != http.NoBody { // also bounds what net/http discards of a body nobody reads
		_ = x.control.SetReadDeadline(x.start.Add(min(s.limits.BodyGrace, s.limits.BodyTimeout)))
	}
	h := w.Header()
	h["X-Request-Id"] = []string{x.id}
	h["X-Content-Type-Options"] = noSniff
	err := s.handle(x)
	s.metrics.observe(x, s.now().Sub(x.start))
	s.logger.request(x, err, s.now())
	x.body.release(s.budget)
	if meter.KindOf(err) == meter.KindTooLarge {
		x.drain()
	}
	aborted := errors.Is(err, http.ErrAbortHandler)
	*x = Exchange{}
	exchanges.Put(x)
	if aborted { // too late for an error answer: break the connection, so that it is not taken for a whole one
		panic(http.ErrAbortHandler)
	}
}

// handle runs the route and answers its error, or its panic.
func (s *Server) handle(x *Exchange) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = s.recovered(x, v, debug.Stack())
		}
	}()
	if x.Request.Method == http.MethodGet || x.Request.Method == http.MethodHead {
		held, release := share.HoldTurn(x.Request.Context())
		defer release()
		x.Request = x.Request.WithContext(held)
	}
	err = s.router.Load().dispatch(x, s.served() == nil)
	if err == nil {
		return nil
	}
	if x.status != 0 {
		return errors.Join(err, http.ErrAbortHandler)
	}
	if meter.KindOf(err) == meter.KindTooLarge {
		_ = x.control.EnableFullDuplex() // the answer goes out before the body is read, see drain
	}
	x.fail(err)
	return err
}

func (x *Exchange) fail(err error) {
	if x.route != nil && x.route.surface.Fail != nil {
		x.route.surface.Fail(x, err)
		return
	}
	WriteProblem(x, err)
}

func (s *Server) recovered(x *Exchange, v any, stack []byte) error {
	if v == http.ErrAbortHandler {
		return http.ErrAbortHandler
	}
	s.metrics.panics.Inc()
	s.logger.panicked(x, v, stack)
	err := fmt.Errorf("panic: %v", v)
	if x.status != 0 {
		return errors.Join(err, http.ErrAbortHandler)
	}
	x.fail(err)
	return err
}
