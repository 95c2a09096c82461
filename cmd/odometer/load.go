package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"odometer/internal/loadgen"
)

// loadCmd measures a running server.
type loadCmd struct {
	ClientSettings `embed:""`
	Organization   string `placeholder:"ID" help:"Send as this organization. The key needs the operator right."`
	Profile        string `default:"batch-1000" help:"One of ${profiles}, surfaces."`
	loadGrowth     `embed:""`
	Connections    int           `help:"Number of keep-alive connections. 0 is the profile's own number."`
	Events         uint64        `help:"Number of events to send, rounded up to whole requests."`
	Duration       time.Duration `help:"How long to send. Default: 10s, unless --events is given."`
	Rate           uint64        `help:"Events per second to send. 0 is as fast as possible."`
	Seed           uint64        `help:"Seed of all random choices. 0 takes one from the clock and prints it."`
	Ceiling        time.Duration `placeholder:"TIME" help:"First measure, for this long, how fast all cores can parse the same bytes."`
	Queries        int           `help:"After the load, time queries over the run's range, each this many times."`
	Data           string        `placeholder:"DIR" help:"The server's data directory on this machine, to measure disk space per event."`
	Save           string        `placeholder:"FILE" help:"Save what was sent to this file, for --resend."`
	Resend         string        `placeholder:"FILE" help:"Send --events of a saved run again. Only duplicates and unchanged totals are expected."`
	JSON           bool          `name:"json" help:"Print the figures as JSON."`
}

// Help says what the figures mean.
func (c *loadCmd) Help() string {
	var b strings.Builder
	b.WriteString("Creates three meters of its own (COUNT, SUM, PERCENTILE of 5-minute rates; by customer, service and region). Sends events to them over " +
		"plain HTTP. Then compares the server's totals with what it sent, exactly, for each meter. Exit code 3 if they differ. Profiles:\n\n")
	for _, p := range loadgen.Profiles() {
		fmt.Fprintf(&b, "    %-20s %s (%d connections)\n", p.Name, p.About, p.Connections)
	}
	b.WriteString("\n--customers, --services, --meters and --organizations make a profile as large as you say. Then all meters are by customer and service, and of " +
		"many organizations the totals of 32 are compared. bench/growth.sh uses them.\n")
	fmt.Fprintf(&b, "\nAnother profile, %s, applies a catalog of 200 customers and 10,000 services. It sends 5,000,000 events (--events) of one month, and "+
		"times 1,000 requests (--queries) of each vendor's API over 8 connections. Set thousandeyes.rate-limit to 0 for it.\n", loadgen.SurfacesProfile)
	return b.String()
}

// Run sends the load and prints one table.
func (c *loadCmd) Run(ctx context.Context, env *Env) error {
	run, err := c.newRun(env)
	if err != nil {
		return err
	}
	if c.Profile == loadgen.SurfacesProfile {
		if c.growth() != (loadgen.Growth{}) {
			return usageErrorf("the size of profile %s is fixed", c.Profile)
		}
		report, err := run.Surfaces(ctx)
		if err != nil {
			return err
		}
		return printSurfaces(env.Stdout, report, c.JSON)
	}
	if c.Resend != "" {
		return c.resend(ctx, env, run)
	}
	profile, err := loadgen.FindProfile(c.Profile)
	if err != nil {
		return usageErrorf("%v", err)
	}
	if profile, err = c.growth().Of(profile); err != nil {
		return usageErrorf("%v", err)
	}
	if profile.Organizations > 0 && c.Organization != "" {
		return usageErrorf("--organizations makes its own: it cannot be given with --organization")
	}
	report, sent, err := run.Profile(ctx, profile)
	if sent != nil && c.Save != "" {
		if err := saveRun(c.Save, sent); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return c.finish(env, report)
}

func (c *loadCmd) newRun(env *Env) (*loadgen.Run, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, usageErrorf("url %q: load speaks plain http only, like http://127.0.0.1:8080", c.URL)
	}
	if c.Events == 0 && c.Duration == 0 && c.Profile != loadgen.SurfacesProfile {
		c.Duration = 10 * time.Second
	}
	if c.Seed == 0 {
		c.Seed = uint64(env.Clock().UnixNano()) & 0xffffffff
	}
	address := u.Host
	if u.Port() == "" {
		address += ":80"
	}
	api, err := newClient(c.ClientSettings, c.Organization)
	if err != nil {
		return nil, err
	}
	run := &loadgen.Run{Target: loadgen.Target{Address: address, Key: c.Key, Organization: c.Organization}, URL: c.URL, Client: api, Clock: env.Clock,
		Connections: c.Connections, Events: c.Events, Duration: c.Duration, Rate: c.Rate, Seed: c.Seed, Ceiling: c.Ceiling, Queries: c.Queries, Data: c.Data}
	if env.IsTerminal(env.Stderr) {
		run.EachSecond = func(p loadgen.Progress) {
			if p.Done {
				fmt.Fprint(env.Stderr, "\r\x1b[K")
				return
			}
			fmt.Fprintf(env.Stderr, "\r%s events, %s/s, %s   ", group(p.Events), group(perSecond(p.Events, p.Elapsed)), mebibytes(p.ResidentPeak))
		}
	}
	return run, nil
}

// resend sends part of a saved run again.
func (c *loadCmd) resend(ctx context.Context, env *Env, run *loadgen.Run) error {
	text, err := os.ReadFile(c.Resend)
	if err != nil {
		return usageErrorf("%v", err)
	}
	var saved loadgen.Sent
	if err := json.Unmarshal(text, &saved); err != nil {
		return usageErrorf("%s is not a saved run: %v", c.Resend, err)
	}
	report, err := run.Again(ctx, &saved)
	if err != nil {
		return err
	}
	return c.finish(env, report)
}

func (c *loadCmd) finish(env *Env, report *loadgen.Report) error {
	if err := printLoad(env.Stdout, report, c.JSON); err != nil {
		return err
	}
	if report.Mismatch != nil {
		return exitWith(exitDisagrees, report.Mismatch)
	}
	return nil
}

func saveRun(path string, sent *loadgen.Sent) error {
	text, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
