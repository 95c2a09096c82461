package httpserver

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"odometer/internal/background/backgroundtest"
)

func TestJobs(t *testing.T) {
	t.Parallel()
	backgroundtest.Jobs(t, map[string]func(t *testing.T) backgroundtest.Job{
		"listener": func(t *testing.T) backgroundtest.Job {
			s, err := New(Options{Listen: "127.0.0.1:0", PprofListen: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			var answered atomic.Int64
			s.Mount(&Surface{Name: "test", Routes: []Route{{Method: "GET", Path: "/", Public: true, Handle: func(x *Exchange) error {
				answered.Add(1)
				return x.text("x")
			}}}})
			s.serve(nobody{})
			asked := make(chan struct{})
			client := &http.Client{Transport: &http.Transport{}}
			go func() { // waits in the listener's queue until somebody serves
				defer close(asked)
				if resp, err := client.Get(s.URL() + "/"); err == nil {
					resp.Body.Close()
				}
			}()
			t.Cleanup(func() { <-asked; client.CloseIdleConnections() })
			return backgroundtest.Job{Begun: func() int { return int(answered.Load()) }, Run: func(ctx context.Context) {
				if err := s.Run(ctx); err != nil {
					t.Error(err)
				}
			}}
		},
	})
}
