package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"odometer/internal/loadgen"
)

// printLoad writes the one table.
func printLoad(w io.Writer, r *loadgen.Report, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	t := newTable(w, false)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("profile", "%s: %s per request, %d connections, seed %d", r.Profile, plural(r.Batch, "event"), r.Connections, r.Seed)
	if d := r.Drawn; d != nil {
		row("drawn", "%s, %s, over %s; %s, %s", plural(d.Customers, "customer"), plural(d.Services, "service"), days(d.Span),
			plural(d.Organizations, "organization"), plural(d.Meters, "meter"))
	}
	row("events", "%s in %s, %s requests", group(r.Verdicts.Sum()), r.Elapsed.Round(time.Millisecond), group(r.Requests))
	row("verdicts", "%s accepted, %s duplicate, %s conflict, %s rejected", group(r.Verdicts.Accepted), group(r.Verdicts.Duplicates),
		group(r.Verdicts.Conflicts), group(r.Verdicts.Rejected))
	if r.Overloaded+r.Uncertain > 0 {
		row("sent again", "%s overloaded, %s in doubt", group(r.Overloaded), group(r.Uncertain))
	}
	row("events/s", "%s", group(r.EventsPerSecond))
	if r.WorstPerSecond != nil {
		row("", "%s in the worst 2 s", group(*r.WorstPerSecond))
	}
	if r.LastPerSecond > 0 {
		row("", "%s in the first tenth of the events, %s in the last: %d %%", group(r.FirstPerSecond), group(r.LastPerSecond), r.LastPercent)
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
		if q.Error != "" {
			row("query", "%s: after %s: %s", q.Name, short(q.Max), q.Error)
			continue
		}
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

// printSurfaces writes the table of the vendors' APIs.
func printSurfaces(w io.Writer, r *loadgen.SurfacesReport, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	table := newTable(w, false)
	fmt.Fprintf(table, "profile\t%s, seed %d, %d connections, load average %s\n", r.Profile, r.Seed, r.Connections, loadAverage())
	fmt.Fprintf(table, "apply\t%s for %s of YAML; again %s; one name changed %s\n", short(r.Apply), mebibytes(int64(r.Document)), short(r.ApplyAgain), short(r.ApplyOne))
	fmt.Fprintf(table, "events\t%s at %s a second\n", group(r.Events), group(r.EventsPerSecond))
	fmt.Fprintf(table, "request\tmedian\tp99\tmost\tCPU\tfirst: median\tp99\tCPU\trows\n")
	for _, s := range r.Surfaces {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", s.Name, short(s.P50), short(s.P99), short(s.Max), short(s.CPU),
			short(s.First50), short(s.First99), short(s.FirstCPU), s.Rows)
	}
	fmt.Fprintf(table, "server resident\t%s, %s when the events were in\n", mebibytes(r.Resident), mebibytes(r.ResidentLoaded))
	return table.Flush()
}

// loadAverage is that of the last minute, "unknown" where the system has none to read.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	first, _, ok := strings.Cut(string(text), " ")
	if _, wrong := strconv.ParseFloat(first, 64); err != nil || !ok || wrong != nil {
		return "unknown"
	}
	return first
}

func perSecond(n uint64, d time.Duration) uint64 {
	return uint64(float64(n) / max(d.Seconds(), 1e-9))
}
