package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"odometer/client"
	"odometer/cmd/odometer/loadgen"
)

// loadReport holds the figures of one run, as --json prints them.
type loadReport struct {
	Profile     string           `json:"profile"`
	Seed        uint64           `json:"seed"`
	Connections int              `json:"connections"`
	Batch       int              `json:"batch"`
	Elapsed     time.Duration    `json:"elapsed_ns"`
	Requests    uint64           `json:"requests"`
	Verdicts    loadgen.Verdicts `json:"verdicts"`
	Overloaded  uint64           `json:"overloaded"`
	Uncertain   uint64           `json:"uncertain"`

	EventsPerSecond   uint64           `json:"events_per_second"`
	RequestsPerSecond uint64           `json:"requests_per_second"`
	FirstPerSecond    uint64           `json:"first_events_per_second,omitempty"` // over the first tenth of the run
	LastPerSecond     uint64           `json:"last_events_per_second,omitempty"`  // over the last tenth
	Ceiling           *loadgen.Ceiling `json:"ceiling,omitempty"`

	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`

	ServerCPUPerEvent    time.Duration `json:"server_cpu_per_event_ns,omitempty"`
	GeneratorCPUPerEvent time.Duration `json:"generator_cpu_per_event_ns,omitempty"`
	ServerResident       int64         `json:"server_resident_bytes,omitempty"`
	ServerResidentPeak   int64         `json:"server_resident_peak_bytes,omitempty"` // of samples taken every second
	DiskBytesPerEvent    int64         `json:"disk_bytes_per_event,omitempty"`

	Queries []queryTimes `json:"queries,omitempty"`
	Agrees  bool         `json:"totals_agree"`
}

type queryTimes struct {
	Name   string        `json:"name"`
	Rows   int           `json:"rows"`
	Source string        `json:"source"`
	P50    time.Duration `json:"p50_ns"`
	Max    time.Duration `json:"max_ns"`
}

func (r *loadReport) take(plan loadgen.Plan, result *loadgen.Result) {
	r.Profile, r.Seed, r.Connections, r.Batch = plan.Profile.Name, plan.Seed, plan.Connections, plan.Profile.Batch
	r.Elapsed, r.Requests, r.Verdicts = result.Elapsed, result.Requests, result.Verdicts
	r.Overloaded, r.Uncertain = result.Overloaded, result.Uncertain
	r.EventsPerSecond = perSecond(result.Verdicts.Sum(), result.Elapsed)
	r.RequestsPerSecond = perSecond(result.Requests, result.Elapsed)
	r.P50, r.P99, r.P999, r.Max = result.P50, result.P99, result.P999, result.Max
}

func (r *loadReport) takeProcess(before, after processSample, series *rateSeries, result *loadgen.Result) {
	events := time.Duration(max(1, result.Verdicts.Sum()))
	if after.serverCPU > 0 {
		r.ServerCPUPerEvent = (after.serverCPU - before.serverCPU) / events
	}
	r.GeneratorCPUPerEvent = (after.ownCPU - before.ownCPU) / events
	r.ServerResident = after.resident
	r.ServerResidentPeak = max(series.peak, after.resident)
	r.FirstPerSecond, r.LastPerSecond = series.ends()
}

func perSecond(n uint64, d time.Duration) uint64 {
	return uint64(float64(n) / max(d.Seconds(), 1e-9))
}

// print writes the one table.
func (r *loadReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	t := newTable(w, false)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("profile", "%s: %s per request, %d connections, seed %d", r.Profile, plural(r.Batch, "event"), r.Connections, r.Seed)
	row("events", "%s in %s, %s requests", group(r.Verdicts.Sum()), r.Elapsed.Round(time.Millisecond), group(r.Requests))
	row("verdicts", "%s accepted, %s duplicate, %s conflict, %s rejected", group(r.Verdicts.Accepted), group(r.Verdicts.Duplicates),
		group(r.Verdicts.Conflicts), group(r.Verdicts.Rejected))
	if r.Overloaded+r.Uncertain > 0 {
		row("sent again", "%s overloaded, %s in doubt", group(r.Overloaded), group(r.Uncertain))
	}
	row("events/s", "%s", group(r.EventsPerSecond))
	if r.LastPerSecond > 0 {
		row("", "%s in the first tenth, %s in the last", group(r.FirstPerSecond), group(r.LastPerSecond))
	}
	row("requests/s", "%s", group(r.RequestsPerSecond))
	if c := r.Ceiling; c != nil {
		row("parse ceiling", "%s events/s on all cores, %s with each value read; this run reached %d %% and %d %%", group(c.Parse), group(c.Read),
			r.EventsPerSecond*100/c.Parse, r.EventsPerSecond*100/c.Read)
	}
	row("acknowledged", "p50 %s, p99 %s, p99.9 %s, max %s", short(r.P50), short(r.P99), short(r.P999), short(r.Max))
	if r.ServerResident > 0 {
		row("server memory", "%s resident, peak %s", mebibytes(r.ServerResident), mebibytes(r.ServerResidentPeak))
		row("CPU per event", "server %s, generator %s", r.ServerCPUPerEvent, r.GeneratorCPUPerEvent)
	}
	if r.DiskBytesPerEvent > 0 {
		row("disk", "%d bytes per event", r.DiskBytesPerEvent)
	}
	for _, q := range r.Queries {
		row("query", "%s: p50 %s, max %s (%d rows from %s)", q.Name, short(q.P50), short(q.Max), q.Rows, q.Source)
	}
	verdict := "agree with what was sent, per meter"
	if !r.Agrees {
		verdict = "DIFFER from what was sent"
	}
	row("totals", "%s", verdict)
	return t.Flush()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return group(uint64(n)) + " " + noun + "s"
}

// group writes a number with commas between its thousands.
func group(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

func mebibytes(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }

// processSample is what both processes have used so far.
type processSample struct {
	serverCPU, ownCPU time.Duration
	resident          int64
}

// sample reads the server's figures; what it may not read stays zero.
func (r *loadRun) sample(ctx context.Context) processSample {
	var s processSample
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		s.ownCPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	metrics := r.metrics(ctx)
	s.resident = int64(metrics["process_resident_memory_bytes"])
	s.serverCPU = time.Duration(metrics["process_cpu_seconds_total"] * float64(time.Second))
	return s
}

// metrics reads the server's /metrics by series; nil if it may not.
func (r *loadRun) metrics(ctx context.Context) map[string]float64 {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.URL, "/")+"/metrics", nil)
	if err != nil {
		return nil
	}
	request.Header.Set("Authorization", "Bearer "+r.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if value, err := strconv.ParseFloat(line[space+1:], 64); err == nil && !strings.HasPrefix(line, "#") {
			values[line[:max(space, 0)]] = value
		}
	}
	return values
}

// rateSeries remembers the progress of a run by the second.
type rateSeries struct {
	run    *loadRun
	ctx    context.Context
	events []uint64
	at     []time.Duration
	peak   int64
}

func (s *rateSeries) second(events uint64, elapsed time.Duration) {
	s.events, s.at = append(s.events, events), append(s.at, elapsed)
	s.peak = max(s.peak, s.run.sample(s.ctx).resident)
	if s.run.env.IsTerminal(s.run.env.Stderr) {
		fmt.Fprintf(s.run.env.Stderr, "\r%s events, %s/s, %s   ", group(events), group(perSecond(events, elapsed)), mebibytes(s.peak))
	}
}

// ends returns the rates over the first and the last tenth of the run, 0 for a short one.
func (s *rateSeries) ends() (first, last uint64) {
	n := len(s.events)
	if s.run.env.IsTerminal(s.run.env.Stderr) && n > 0 {
		fmt.Fprint(s.run.env.Stderr, "\r\x1b[K")
	}
	tenth := n / 10
	if tenth == 0 {
		return 0, 0
	}
	return perSecond(s.events[tenth]-s.events[0], s.at[tenth]-s.at[0]),
		perSecond(s.events[n-1]-s.events[n-1-tenth], s.at[n-1]-s.at[n-1-tenth])
}

// diskBytes sums the files of a directory; "" has none.
func diskBytes(dir string) (total int64, err error) {
	if dir == "" {
		return 0, nil
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return ignoreGone(err)
	})
	return total, err
}

// timeQueries asks three questions n times each: an organization's hours, one
// customer's hours, one customer's percentile, over 31 days.
func (r *loadRun) timeQueries(ctx context.Context, plan loadgen.Plan) error {
	hour := plan.Base.Truncate(time.Hour).Add(time.Hour)
	span := client.UsageQuery{From: hour.AddDate(0, 0, -31), To: hour}
	hourly := span
	hourly.Window = "hour"
	customer := hourly
	customer.Filters = map[string][]string{"customer": {"customer-0001"}}
	percentile := customer
	percentile.Window = ""
	for _, q := range []struct {
		name, meter string
		query       client.UsageQuery
	}{
		{"hours of the organization, 31 days", bytesMeter, hourly},
		{"hours of one customer, 31 days", bytesMeter, customer},
		{"95/5 of one customer, 31 days", p95Meter, percentile},
	} {
		times := make([]time.Duration, 0, r.LoadCmd.Queries)
		line := queryTimes{Name: q.name}
		for range r.LoadCmd.Queries {
			start := time.Now()
			usage, err := r.client.Usage(ctx, meterKey(plan, q.meter), q.query)
			if err != nil {
				return fmt.Errorf("query %s: %w", q.name, err)
			}
			times = append(times, time.Since(start))
			line.Rows, line.Source = len(usage.Rows), usage.Source
		}
		slices.Sort(times)
		line.P50, line.Max = times[len(times)/2], times[len(times)-1]
		r.report.Queries = append(r.report.Queries, line)
	}
	return nil
}

func ignoreGone(err error) error {
	if err != nil && errors.Is(err, fs.ErrNotExist) { // a store deletes files while it is measured
		return nil
	}
	return err
}
