package main

import (
	"context"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"odometer/internal/background/backgroundtest"
)

// openServer starts a server with every job that there is.
func openServer(t *testing.T) *Server {
	t.Helper()
	var c serveCmd
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0",
		"--reporter.enabled", "--periods.close-after-days", "3"}); err != nil {
		t.Fatal(err)
	}
	env, _, _ := testEnv(nil)
	s, err := startServer(t.Context(), env, c.ServerSettings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestJobsOfAServer: each job of a server keeps to the contract, and the server
// with all of them, its ledger and its catalog leaves nothing behind.
func TestJobsOfAServer(t *testing.T) {
	t.Parallel()
	server := openServer(t)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	all := map[string]func(t *testing.T) backgroundtest.Job{}
	for _, j := range server.periodic() {
		all[j.failed] = func(*testing.T) backgroundtest.Job {
			var runs atomic.Int64
			eager := *j
			eager.every, eager.rests = time.Millisecond, false
			eager.run = func(ctx context.Context) error {
				runs.Add(1)
				return j.run(ctx)
			}
			return backgroundtest.Job{Begun: func() int { return int(runs.Load()) },
				Run: func(ctx context.Context) { eager.loop(ctx, server.logger) }}
		}
	}
	if len(all) != 5 {
		t.Errorf("the server has %d jobs", len(all))
	}
	backgroundtest.Jobs(t, all)
	backgroundtest.Opened(t, map[string]func(t *testing.T) func(){
		"server": func(t *testing.T) func() {
			s := openServer(t)
			return func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"marketplaces of the demo": func(t *testing.T) func() {
			env, _, _ := testEnv(nil)
			m, err := startDemoMarkets(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := http.Get(m.url); err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
			}
			return func() {
				if err := m.close(); err != nil {
					t.Error(err)
				}
			}
		},
	})
}
