package client

import (
	"context"
	"net/http"
	"testing"

	"odometer/internal/background/backgroundtest"
)

// Closing a batcher ends its senders and its timer.
func TestBatcherEnds(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, Options{HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	backgroundtest.Opened(t, map[string]func(t *testing.T) func(){
		"batcher": func(t *testing.T) func() {
			b := c.NewBatcher(context.Background(), BatcherOptions{Events: 2})
			for range 3 {
				if err := b.Add(testEvent); err != nil {
					t.Fatal(err)
				}
			}
			return b.Close
		},
	})
}
