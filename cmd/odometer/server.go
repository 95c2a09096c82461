package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"odometer/internal/background"
	"odometer/internal/figures"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	stored "odometer/internal/store/records"
	"odometer/internal/surface/akamai"
	"odometer/internal/surface/akamai/edgegrid"
	"odometer/internal/surface/fastly"
	"odometer/internal/surface/native"
	"odometer/internal/surface/suger"
	"odometer/internal/surface/thousandeyes"
)

// What lies in a data directory, beside its lock.
const (
	ledgerFolder     = "ledger"
	catalogFile      = "catalog.db"
	noncesFile       = "nonces"    // of signed requests, for a minute
	backupPrefix     = "backup-"   // folders of backups being sent; left over by a crash
	flushLastUsed    = time.Minute // keeps the times of keys from being lost by a crash
	closeDueEvery    = time.Hour
	reportEvery      = time.Minute
	postPendingEvery = 10 * time.Second

	countUnattributedEvery = 5 * time.Minute
)

// Server is one running server over one data directory.
type Server struct {
	// AdminKey is the first key of a data directory that was fresh, else "";
	// AdminKeyFile is where it is kept, "" = nowhere.
	AdminKey, AdminKeyFile string

	settings  ServerSettings
	logger    *slog.Logger
	release   func() // of the data directory's lock
	http      *httpserver.Server
	metrics   *httpserver.Metrics
	stores    *stores
	nonces    *edgegrid.Journal
	jobs      background.Jobs // http, and what is done again and again
	service   *metering.Service
	posting   *job
	closing   *job // nil = months are closed by hand
	reporting *job // nil = usage is reported to marketplaces by hand
	done      chan struct{}
	err       error // of http, set before done is closed
	close     sync.Once
}

// notPosted is logged when something that was accepted stays unposted for now.
const notPosted = "usage record groups are still to be posted to the ledger"

// stores are the parts of a data directory, opened.
type stores struct {
	ledger  *ledger.Ledger
	catalog *store.Store // nil at rest, where it is in PostgreSQL and was not named
	keys    *keys.Store  // of catalog

	secretKeyPath string
}

// openStores opens or makes the parts of a data directory whose lock is held.
func openStores(ctx context.Context, dir string, where CatalogSettings, limits ledger.Limits, env *Env, logger *slog.Logger, damaged func(string)) (*stores, error) {
	s, err := openLedger(ctx, dir, where, limits, env, logger, damaged)
	if err != nil {
		return nil, err
	}
	// Last, so that a directory that cannot be used takes no catalog.
	if s.catalog, err = where.openCatalog(ctx, env, dir, logger); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	if s.keys, err = keys.Open(ctx, s.catalog, s.secretKeyPath); err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalog: %w", err), s.close())
	}
	return s, nil
}

// openLedger opens or makes the ledger only. damaged is called when damage is
// why the ledger can go on no more; nil ends the process.
func openLedger(ctx context.Context, dir string, where CatalogSettings, limits ledger.Limits, env *Env, logger *slog.Logger, damaged func(string)) (*stores, error) {
	s := &stores{secretKeyPath: where.secretKeyPath(dir)}
	var err error
	s.ledger, err = ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, ledgerFolder), Clock: env.Clock, Logger: logger,
		Limits: limits, Fatal: dieBecause(logger), Damage: damaged,
		Rest: func() { go debug.FreeOSMemory() }}) // collecting takes a while
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	return s, nil
}

func (s *stores) close() error {
	if s.catalog == nil {
		return s.ledger.Close()
	}
	return errors.Join(s.catalog.Close(), s.ledger.Close())
}

// dieBecause ends the process: a write to the log is in doubt, and answering
// anything more could be wrong. What was acknowledged is on disk.
func dieBecause(logger *slog.Logger) func(string) {
	return func(message string) {
		logger.Error("ending at once; start again to recover", "reason", message)
		os.Exit(exitFailed)
	}
}

// startServer wires the whole server together and returns when it is ready to
// serve. ctx bounds only the start; Close ends the server.
func startServer(ctx context.Context, env *Env, settings ServerSettings) (*Server, error) {
	s := &Server{settings: settings, logger: settings.logger(env.Stderr), done: make(chan struct{}), metrics: httpserver.NewMetrics()}
	if err := refuseBackup(settings.Data); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(settings.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := checkPrivate(settings.Data); err != nil {
		return nil, err
	}
	s.warnOfOpenFiles()
	if err := ledger.CheckRoom(filepath.Join(settings.Data, ledgerFolder)); err != nil {
		return nil, err
	}
	var err error
	// The lock comes first: a second server must say so, whichever port it was given.
	if s.release, err = lockData(settings.Data); err != nil {
		return nil, err
	}
	if err := s.start(ctx, env); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// warnOfOpenFiles tells of a private key that others may read. It is no
// refusal: it is not ours, and others may have to read it.
func (s *Server) warnOfOpenFiles() {
	if s.settings.TLSKey == "" {
		return
	}
	if err := checkSecretFile("tls-key", s.settings.TLSKey); err != nil {
		s.logger.Warn(err.Error())
	}
}

func (s *Server) start(ctx context.Context, env *Env) error {
	var err error
	s.http, err = httpserver.New(httpserver.Options{
		Listen: s.settings.Listen, TLSCert: s.settings.TLSCert, TLSKey: s.settings.TLSKey, PprofListen: s.settings.PprofListen,
		MetricsAccess: httpserver.MetricsAccess(s.settings.MetricsAccess), Limits: s.settings.httpLimits(),
		Logger: s.logger, Clock: env.Clock, Metrics: s.metrics,
	})
	if err != nil {
		return err
	}
	if t, ok := s.http.Addr().(*net.TCPAddr); ok && !t.IP.IsLoopback() && s.settings.publicScheme() != "https" {
		s.logger.Warn("keys and usage travel unencrypted beyond this machine: give tls-cert and tls-key, or end TLS in a proxy and set public-url to its https address",
			"listen", t.String())
	}
	s.jobs.Start(ctx, func(ctx context.Context) { // from now on /healthz answers
		s.err = s.http.Run(ctx)
		close(s.done)
	})
	if err := s.open(ctx, env); err != nil {
		s.jobs.Stop()
		return err
	}
	for _, j := range s.periodic() {
		s.jobs.Start(ctx, func(ctx context.Context) { j.loop(ctx, s.logger) })
	}
	return nil
}

// periodic is what an open server does again and again.
func (s *Server) periodic() []*job {
	jobs := []*job{
		{every: flushLastUsed, later: true, run: s.stores.keys.FlushLastUsed, failed: "last use of keys was not stored"},
		{every: countUnattributedEvery, rests: true, run: s.service.CountUnattributed, failed: "usage without attribution was not counted"},
		s.posting,
	}
	if s.reporting != nil {
		jobs = append(jobs, s.reporting)
	}
	if s.closing != nil {
		jobs = append(jobs, s.closing)
	}
	return jobs
}

// ensureFirstKey gives a fresh directory its first key.
func (s *Server) ensureFirstKey(ctx context.Context, env *Env) error {
	first, err := s.settings.firstKey(env.IsTerminal != nil && env.IsTerminal(env.Stdout))
	if err != nil {
		return err
	}
	if s.AdminKey, err = s.stores.keys.EnsureFirst(ctx, "system:first-start", first.key()); err != nil {
		return err
	}
	if s.AdminKey != "" {
		s.AdminKeyFile = first.file
	}
	return nil
}

// open reads the stores and lets requests in.
func (s *Server) open(ctx context.Context, env *Env) error {
	if err := removeLeftovers(s.settings.Data); err != nil {
		return err
	}
	var err error
	where := s.settings.CatalogSettings
	where.limits = s.settings.catalogLimits()
	if s.stores, err = openStores(ctx, s.settings.Data, where, s.settings.ledgerLimits(), env, s.logger, nil); err != nil {
		return err
	}
	if err := s.ensureFirstKey(ctx, env); err != nil {
		return errors.Join(err, s.stores.close())
	}
	service, err := metering.New(ctx, metering.Options{Ledger: s.stores.ledger, Catalog: s.stores.catalog, Keys: s.stores.keys, Clock: env.Clock,
		Logger: s.logger, Limits: s.settings.meteringLimits()})
	if err != nil {
		return errors.Join(err, s.stores.close())
	}
	groups := records.New(records.Options{Ledger: s.stores.ledger, Store: stored.New(s.stores.catalog), Catalog: s.stores.catalog, Meters: service,
		Reads: service.Reads(), Clock: env.Clock, Logger: s.logger, Limits: records.Limits{Events: s.settings.eventLimits()}})
	service.UseMeterOwner(groups)
	cursors, err := cursorKey(s.settings.Data)
	if err != nil {
		return errors.Join(err, s.stores.close())
	}
	if s.nonces, err = edgegrid.OpenJournal(filepath.Join(s.settings.Data, noncesFile), env.Clock()); err != nil {
		return errors.Join(fmt.Errorf("open the file of nonces: %w", err), s.stores.close())
	}
	s.service = service
	service.KeepBooks(metering.ProductBook(service), fastly.Book(service), akamai.Book(service))
	if days := s.settings.Periods.CloseAfterDays; days > 0 {
		s.closing = &job{every: closeDueEvery, failed: "not every month that is due was closed", run: func(ctx context.Context) error {
			_, err := service.CloseDue(ctx, time.Duration(days)*24*time.Hour)
			return err
		}}
	}
	reporter, err := s.newReporter(env, groups)
	if err != nil {
		return errors.Join(err, s.stores.close())
	}
	groups.UseReporter(reporter)
	if err := s.metrics.Register(reporter.Collector()); err != nil {
		return errors.Join(err, s.stores.close())
	}
	if s.settings.Reporter.Enabled {
		s.reporting = &job{every: reportEvery, later: true, failed: "not everything that is due was reported to marketplaces",
			run: func(ctx context.Context) error { return reporter.RunOnce(ctx, env.Clock()) }}
	}
	s.posting = &job{every: postPendingEvery, later: true, failed: notPosted, run: func(ctx context.Context) error {
		_, err := groups.PostPending(ctx)
		return err
	}}
	// What a crash kept from the ledger is there before the first answer.
	if err := s.posting.run(ctx); err != nil {
		s.logger.Warn(notPosted, "error", err)
	}
	s.http.Mount(native.SurfaceWith(service, groups, native.Options{
		WebhookOrigins: s.settings.webhookOrigins(), Clock: env.Clock, RequestsPerMinute: s.settings.Limits.KeyRequests}), s.backupSurface(service),
		fastly.Surface(fastly.Options{Service: service, CursorKey: cursors, Clock: env.Clock}),
		thousandeyes.Surface(thousandeyes.Options{Service: service, CursorKey: cursors, Clock: env.Clock,
			Base: s.settings.publicBase(), RequestsPerMinute: s.settings.ThousandEyes.RateLimit}),
		akamai.Surface(akamai.Options{Service: service, Credentials: akamai.Credentials(service), Scheme: s.settings.publicScheme(), Host: s.settings.publicHost(), Clock: env.Clock, Nonces: s.nonces}),
		suger.Surface(suger.Options{Service: service, Records: groups, Clock: env.Clock}))
	err = service.ResumeClosings(ctx) // before a request could close a month
	if err == nil {
		err = s.http.Ready(service, figures.Of(service, groups))
	}
	if err != nil {
		service.Close()
		return errors.Join(err, s.stores.close())
	}
	return nil
}

// URL is where the server answers.
func (s *Server) URL() string { return s.http.URL() }

// Done is closed when the server no longer serves, by Close or by a failure.
func (s *Server) Done() <-chan struct{} { return s.done }

// reload reads again what may change while the server runs: its certificates.
// Where that fails the server goes on with those it has.
func (s *Server) reload() {
	if err := s.http.ReloadCertificate(); err != nil {
		s.logger.Error("hangup: the certificate was not read again; the one before is served on", "error", err)
		return
	}
	s.logger.Info("hangup: the certificate, if there is one, was read again; other settings need a restart")
}

// Close lets requests in progress finish, writes a last checkpoint and gives
// the data directory back. Again it does nothing.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		s.jobs.Stop()
		s.service.Close()
		err = errors.Join(s.err, s.nonces.Close(), s.stores.close())
		s.release()
	})
	return err
}
