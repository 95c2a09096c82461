package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"odometer/client"
	"odometer/internal/figures"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	stored "odometer/internal/store/records"
	"odometer/internal/surface/native"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// server runs a whole server on a free port, its clock standing at noon.
func server() (url, key string, stop func()) {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	clock := func() time.Time { return noon }
	dir, err := os.MkdirTemp("", "odometer-example-")
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	store, err := store.Open(ctx, filepath.Join(dir, "catalog.db"), store.Options{Clock: clock})
	check(err)
	keys, err := keys.Open(ctx, store, "")
	check(err)
	key, err = keys.EnsureDefault(ctx, "example")
	check(err)
	usage, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "ledger"), Clock: clock})
	check(err)
	service, err := metering.New(ctx, metering.Options{Ledger: usage, Catalog: store, Keys: keys, Clock: clock})
	check(err)
	groups := records.New(records.Options{Ledger: usage, Store: stored.New(store), Catalog: store, Meters: service, Reads: service.Reads(), Clock: clock})
	service.UseMeterOwner(groups)
	s, err := httpserver.New(httpserver.Options{Listen: "127.0.0.1:0"})
	check(err)
	s.Mount(native.Surface(service, groups))
	check(s.Ready(service, figures.Of(service, groups)))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s.URL(), key, func() {
		cancel()
		check(errors.Join(<-done, usage.Close(), store.Close(), os.RemoveAll(dir)))
	}
}

func Example() {
	url, key, stop := server()
	defer stop()
	ctx := context.Background()

	c, err := client.New(client.Options{URL: url, Key: key, Compression: client.Zstd})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.CreateMeter(ctx, client.Meter{Key: "bytes", EventType: "edge.request", Aggregation: "SUM", Value: "bytes",
		GroupBy: []string{"customer", "region"}}); err != nil {
		log.Fatal(err)
	}
	event := client.Event{ID: "e-1", Source: "edge/oslo", Type: "edge.request", Subject: "acme", Time: noon.Add(-time.Minute),
		Data: map[string]any{"region": "eu", "bytes": "0.1"}}
	other := event
	other.ID = "e-2"
	for range 2 { // as after a lost answer
		r, err := c.Ingest(ctx, event, other)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Accepted, "accepted,", r.Duplicates, "duplicates")
	}
	day := client.UsageQuery{From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour), Window: "day", GroupBy: []string{"region"}}
	for row, err := range c.UsageRows(ctx, "bytes", day) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Start.Format(time.DateOnly), row.Group["region"], row.Value)
	}
	// Output:
	// 2 accepted, 0 duplicates
	// 0 accepted, 2 duplicates
	// 2026-11-22 eu 0.2
}

func ExampleClient_NewBatcher() {
	url, key, stop := server()
	defer stop()
	c, err := client.New(client.Options{URL: url, Key: key})
	if err != nil {
		log.Fatal(err)
	}
	b := c.NewBatcher(context.Background(), client.BatcherOptions{Senders: 1, Done: func(events []client.Event, r client.Result, err error) {
		fmt.Println(len(events), "sent:", r.Accepted, "accepted,", r.Rejected, "rejected,", err)
		for _, e := range r.Errors {
			fmt.Println(e.ID, "was refused") // e.Reason says why: its time is in the future
		}
	}})
	for i := range 3 {
		e := client.Event{ID: fmt.Sprintf("e-%d", i), Source: "edge", Type: "edge.request", Time: noon.AddDate(0, 0, 2*i)}
		if err := b.Add(e); err != nil {
			log.Fatal(err)
		}
	}
	b.Close()
	// Output:
	// 3 sent: 1 accepted, 2 rejected, <nil>
	// e-1 was refused
	// e-2 was refused
}

func ExampleClient_Lookup() {
	url, key, stop := server()
	defer stop()
	ctx := context.Background()
	c, err := client.New(client.Options{URL: url, Key: key})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.CreateMeter(ctx, client.Meter{Key: "requests", EventType: "edge.request", Aggregation: "COUNT"}); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Ingest(ctx, client.Event{ID: "e-1", Source: "edge", Type: "edge.request", Time: noon}); err != nil {
		log.Fatal(err)
	}
	found, err := c.Lookup(ctx, "edge", "e-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Event.Verdict, "and counted towards", found.Counted[0].Meter)
	_, err = c.Lookup(ctx, "edge", "e-2")
	fmt.Println(client.KindOf(err))
	// Output:
	// accepted and counted towards requests
	// not_found
}
