package store_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"odometer/internal/background/backgroundtest"
	"odometer/internal/store/postgrestest"
)

// jobs checks what goes on beside the calls of a store in PostgreSQL.
func jobs(t *testing.T, server *postgrestest.Server) {
	backgroundtest.Jobs(t, map[string]func(t *testing.T) backgroundtest.Job{
		"watching keys": func(t *testing.T) backgroundtest.Job {
			s := open(t, server.Fresh(t))
			t.Cleanup(func() { closeStore(t, s) })
			var refreshed atomic.Int64
			refresh := func(context.Context) error { refreshed.Add(1); return nil }
			return backgroundtest.Job{Begun: func() int { return int(refreshed.Load()) },
				Run: func(ctx context.Context) { s.WatchKeys(ctx, refresh) }}
		},
	})
	backgroundtest.Opened(t, map[string]func(t *testing.T) func(){
		"store": func(t *testing.T) func() { return openedStore(t, server.Fresh(t)) },
	})
}

func TestJobsOfSQLite(t *testing.T) {
	t.Parallel()
	backgroundtest.Opened(t, map[string]func(t *testing.T) func(){
		"store": func(t *testing.T) func() { return openedStore(t, filepath.Join(t.TempDir(), "catalog.db")) },
	})
}

func openedStore(t *testing.T, dsn string) (closeIt func()) {
	s := open(t, dsn)
	openKeys(t, s)
	return func() { closeStore(t, s) }
}
