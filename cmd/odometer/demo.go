package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"odometer/client"
	"odometer/internal/background"
)

// demoCmd shows the whole thing at work on made-up data.
type demoCmd struct {
	Listen string `default:"127.0.0.1:8080" help:"Loopback address to listen on. If the port is busy, a free one is taken."`
}

// Help says what will happen.
func (c *demoCmd) Help() string {
	return "Starts a server on a temporary directory, applies a sample catalog, and sends two months of usage of five customers. Prints last month's " +
		"figures, reports an hour to simulated marketplaces, prints a curl line for each API, and serves until Ctrl-C. Then it removes the directory."
}

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, env *Env) error {
	// A terminal that is closed ends the demo as Ctrl-C does.
	hangups, stop := env.hangups()
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching background.Jobs
	defer watching.Stop()
	watching.Start(ctx, func(ctx context.Context) {
		select {
		case <-hangups:
			cancel()
		case <-ctx.Done():
		}
	})
	if err := removeOldDemos(os.TempDir()); err != nil {
		fmt.Fprintf(env.Stderr, "the folder of an earlier demo stays: %s\n", err)
	}
	folder, err := os.MkdirTemp("", demoPrefix)
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	markets, err := startDemoMarkets(ctx, env)
	if err != nil {
		return err
	}
	defer func() { _ = markets.close() }() // after the server, which talks to it
	server, err := c.start(ctx, env, folder, markets)
	if err != nil {
		return err
	}
	if err := c.show(ctx, env, server, folder); err != nil {
		return errors.Join(err, server.Close())
	}
	return serveUntil(ctx, server, nil)
}

// demoPrefix begins the names of the demo's folders.
const demoPrefix = "odometer-demo-"

// removeOldDemos removes the folders of demos that were killed: those that
// have a lock that nobody holds.
func removeOldDemos(dir string) error {
	folders, err := filepath.Glob(filepath.Join(dir, demoPrefix+"*"))
	if err != nil {
		return err
	}
	var failed error
	for _, folder := range folders {
		if info, err := os.Lstat(filepath.Join(folder, lockName)); err != nil || !info.Mode().IsRegular() {
			continue // not a demo's, or one that is about to begin
		}
		release, err := lockData(folder)
		if err != nil {
			continue // it runs
		}
		failed = errors.Join(failed, os.RemoveAll(folder))
		release()
	}
	return failed
}

// start starts the server, on a free port if the usual one is busy.
func (c *demoCmd) start(ctx context.Context, env *Env, folder string, markets *demoMarkets) (*Server, error) {
	settings, err := defaultServerSettings()
	if err != nil {
		return nil, err
	}
	host, _, _ := strings.Cut(c.Listen, ":")
	if host != "127.0.0.1" && host != "localhost" && host != "[" {
		return nil, usageErrorf("the demo's key is public: it listens on loopback only, not on %q", c.Listen)
	}
	settings.Data, settings.Listen, settings.LogLevel = folder, c.Listen, "warn"
	settings.showAdminKey = true
	settings.Limits.MinFreeDisk = 64 << 20
	markets.use(&settings)
	server, err := startServer(ctx, env, settings)
	if errors.Is(err, syscall.EADDRINUSE) {
		settings.Listen = host + ":0"
		server, err = startServer(ctx, env, settings)
	}
	return server, err
}

// show fills the server and prints what it answers.
func (c *demoCmd) show(ctx context.Context, env *Env, server *Server, folder string) error {
	fmt.Fprintf(env.Stderr, "sending two months of made-up usage to a server on %s ...\n", folder)
	api, err := newClient(ClientSettings{URL: server.URL(), Key: server.AdminKey}, "")
	if err != nil {
		return err
	}
	started := time.Now()
	now := env.Clock()
	if _, err := api.Apply(ctx, demoCatalog(now), client.ApplyOptions{}); err != nil {
		return fmt.Errorf("apply the sample catalog: %w", err)
	}
	sent, err := sendDemo(ctx, api, now)
	if err != nil {
		return fmt.Errorf("send the sample usage: %w", err)
	}
	took := time.Since(started)
	announce(env, server)
	fmt.Fprintf(env.Stdout, "\n%s events counted exactly once in %s.\n\n", group(sent), took.Round(10*time.Millisecond))
	from := monthBefore(now)
	if err := c.table(ctx, env, api, from); err != nil {
		return err
	}
	d := &demoShow{api: api, url: server.URL(), key: server.AdminKey, folder: folder, month: from}
	if err := d.report(ctx, env.Stdout, now); err != nil {
		return err
	}
	if err := d.printLines(ctx, env.Stdout); err != nil {
		return err
	}
	fmt.Fprint(env.Stdout, "\nCtrl-C ends it and removes the data.\n")
	return nil
}

// monthBefore is the start of the last whole calendar month before now, UTC.
func monthBefore(now time.Time) time.Time {
	now = now.UTC()
	return time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, time.UTC)
}

// demoBatch is how many events the demo sends in one request.
const demoBatch = 2000

// sendDemo sends all sample events and expects each to be counted.
func sendDemo(ctx context.Context, api *client.Client, now time.Time) (sent uint64, err error) {
	var batch bytes.Buffer
	count := 0
	flush := func() error {
		if count == 0 {
			return nil
		}
		result, err := api.IngestBody(ctx, client.ContentNDJSON, batch.Bytes(), false)
		if err != nil {
			return err
		}
		if result.Accepted != count {
			return fmt.Errorf("%d of %d events accepted: %+v", result.Accepted, count, result.Errors)
		}
		sent += uint64(count)
		count = 0
		batch.Reset()
		return nil
	}
	err = demoEvents(now, func(event []byte) error {
		batch.Write(event)
		batch.WriteByte('\n')
		if count++; count == demoBatch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return sent, err
}

// table prints last month's figures by customer.
func (c *demoCmd) table(ctx context.Context, env *Env, api *client.Client, from time.Time) error {
	meters := []string{"edge_requests", "edge_bytes", "edge_p95", "errors", "visitors", "cloud_units"}
	values := map[string]map[string]string{}
	var customers []string
	for _, meter := range meters {
		usage, err := api.Usage(ctx, meter, client.UsageQuery{From: from, To: from.AddDate(0, 1, 0), GroupBy: []string{"customer"}})
		if err != nil {
			return fmt.Errorf("usage of %s: %w", meter, err)
		}
		for _, row := range usage.Rows {
			customer := row.Group["customer"]
			if values[customer] == nil {
				values[customer] = map[string]string{}
				customers = append(customers, customer)
			}
			values[customer][meter] = row.Value
		}
		if values["total"] == nil {
			values["total"] = map[string]string{}
		}
		values["total"][meter] = usage.Total
	}
	fmt.Fprintf(env.Stdout, "Usage of %s (UTC)\n", from.Format("January 2006"))
	t := newTable(env.Stdout, true)
	fmt.Fprintf(t, "customer\t%s\t\n", strings.Join(meters, "\t"))
	for _, customer := range append(customers, "total") {
		fmt.Fprintf(t, "%s\t", shown(customer))
		for _, meter := range meters {
			fmt.Fprintf(t, "%s\t", values[customer][meter])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
