package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"odometer/client"
	"odometer/cmd/odometer/loadgen"
	"odometer/internal/surface/akamai/edgegrid"
)

// surfacesProfile is the load of this file: a catalogue of size, a month of
// usage, and then the vendors' APIs asked over all customers.
const surfacesProfile = "surfaces"

// Defaults of that profile.
const (
	surfacesEvents      = 5_000_000
	surfacesRequests    = 1000 // of each kind
	surfacesConnections = 8
	surfacesBatch       = 2000
)

// surfaceRun is one run of the profile.
type surfaceRun struct {
	*loadRun
	estate loadgen.Estate
	http   *http.Client
	bound  []string          // a key of each customer
	signer edgegrid.Identity // sees every customer
	nonce  atomic.Uint64
	report surfacesReport
}

// surfacesReport holds the figures, as --json prints them.
type surfacesReport struct {
	Profile         string         `json:"profile"`
	Seed            uint64         `json:"seed"`
	Connections     int            `json:"connections"`
	Document        int            `json:"document_bytes"`
	Apply           time.Duration  `json:"apply_ns"`       // the catalogue, to an empty one
	ApplyAgain      time.Duration  `json:"apply_again_ns"` // the same again, which changes nothing
	ApplyOne        time.Duration  `json:"apply_one_ns"`   // with one name changed
	Events          uint64         `json:"events"`
	EventsPerSecond uint64         `json:"events_per_second"`
	Surfaces        []surfaceTimes `json:"surfaces"`
	ResidentLoaded  int64          `json:"server_resident_loaded_bytes"` // when the events were in
	Resident        int64          `json:"server_resident_bytes"`        // when the requests were answered
}

// surfaceTimes are those of one kind of request.
type surfaceTimes struct {
	Name     string        `json:"name"`
	Requests int           `json:"requests"`
	Rows     int           `json:"rows"`          // of an answer, the least seen
	CPU      time.Duration `json:"server_cpu_ns"` // of the server, for one request
	First50  time.Duration `json:"first_p50_ns"`  // asked for each customer for the first time
	First99  time.Duration `json:"first_p99_ns"`
	FirstCPU time.Duration `json:"first_server_cpu_ns"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
}

func (r *loadRun) surfaces(ctx context.Context) error {
	if r.Connections == 0 {
		r.Connections = surfacesConnections
	}
	if r.Events == 0 {
		r.Events = surfacesEvents
	}
	if r.LoadCmd.Queries == 0 {
		r.LoadCmd.Queries = surfacesRequests
	}
	s := &surfaceRun{loadRun: r, estate: loadgen.NewEstate(r.Seed, r.env.Clock()),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: r.Connections, DisableCompression: true}, Timeout: time.Minute}}
	s.report = surfacesReport{Profile: surfacesProfile, Seed: r.Seed, Connections: r.Connections, Events: r.Events}
	for _, step := range []func(context.Context) error{s.apply, s.makeKeys, s.send, s.rest, s.measure} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.report.Resident = r.sample(ctx).resident
	if r.JSON {
		return printJSON(r.env.Stdout, s.report)
	}
	return s.report.print(r.env.Stdout)
}

// apply times the catalogue's way in.
func (s *surfaceRun) apply(ctx context.Context) error {
	document := s.estate.Document()
	s.report.Document = len(document)
	for _, one := range []struct {
		document []byte
		took     *time.Duration
	}{
		{document, &s.report.Apply},
		{document, &s.report.ApplyAgain},
		{bytes.Replace(document, []byte("name: site 0}"), []byte("name: site zero}"), 1), &s.report.ApplyOne},
	} {
		began := time.Now()
		if _, err := s.client.Apply(ctx, one.document, client.ApplyOptions{}); err != nil {
			return fmt.Errorf("apply the catalogue: %w", err)
		}
		*one.took = time.Since(began)
	}
	return nil
}

// makeKeys makes the keys that the requests are sent with.
func (s *surfaceRun) makeKeys(ctx context.Context) error {
	for i := range s.estate.Customers {
		k, err := s.client.CreateKey(ctx, client.NewKey{Role: "read", Customer: s.estate.Customer(i)})
		if err != nil {
			return fmt.Errorf("create a key: %w", err)
		}
		s.bound = append(s.bound, k.Token)
	}
	k, err := s.client.CreateEdgeGridKey(ctx, client.NewKey{Role: "read"})
	s.signer = edgegrid.Identity{ClientToken: k.ClientToken, AccessToken: k.AccessToken, Secret: k.ClientSecret}
	return err
}

// send sends the month of usage over all connections.
func (s *surfaceRun) send(ctx context.Context) error {
	began := time.Now()
	var next atomic.Uint64
	failed := make([]error, s.Connections)
	var senders sync.WaitGroup
	for c := range s.Connections {
		senders.Go(func() {
			var body []byte
			for failed[c] == nil {
				first := next.Add(surfacesBatch) - surfacesBatch
				if first >= s.Events {
					return
				}
				n := min(surfacesBatch, int(s.Events-first))
				body = s.estate.AppendBatch(body[:0], first, n)
				result, err := s.client.IngestBody(ctx, client.ContentBatch, body, false)
				if err == nil && result.Accepted != n {
					err = fmt.Errorf("%d of %d events accepted: %+v", result.Accepted, n, result.Errors)
				}
				failed[c] = err
			}
		})
	}
	senders.Wait()
	s.report.EventsPerSecond = perSecond(s.Events, time.Since(began))
	return errors.Join(failed...)
}

// A server is at rest when its last checkpoint has all of the log and it has
// given back the memory of what the checkpoint wrote.
const (
	restLongest = 3 * time.Minute
	restAfter   = 20 * time.Second // from the checkpoint on
)

// rest waits until the server is at rest, if it tells: what is measured then is
// answering, not the end of the load.
func (s *surfaceRun) rest(ctx context.Context) error {
	s.report.ResidentLoaded = s.sample(ctx).resident
	deadline := time.Now().Add(restLongest)
	for {
		m := s.metrics(ctx)
		behind := m["odometer_log_sequence"] - m["odometer_checkpoint_sequence"]
		last := time.Unix(int64(m["odometer_checkpoint_timestamp_seconds"]), 0)
		if m == nil || behind <= 0 && time.Since(last) > restAfter || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// surfaceRequest is one kind of request: one for a customer, and what each of
// its answer's rows has.
type surfaceRequest struct {
	name string
	make func(customer int) (path string, header http.Header)
	row  string
	rows int // at least
}

func (s *surfaceRun) kinds() []surfaceRequest {
	month := s.estate.Month.Format("2006-01")
	next := s.estate.Month.AddDate(0, 1, 0)
	bearer := http.Header{"Authorization": {"Bearer " + s.Key}}
	fastly := func(key string) http.Header { return http.Header{"Fastly-Key": {key}} }
	services, tests := s.estate.Services/s.estate.Customers, s.estate.Tests
	services, tests = services*9/10, tests*9/10 // what is used is drawn at random
	if s.Events < surfacesEvents {
		services, tests = 0, 0
	}
	return []surfaceRequest{
		{"Fastly v2, one usage type, 50 services", func(c int) (string, http.Header) {
			return fmt.Sprintf("/billing/v2/account_customers/%s/service-usage-metrics?limit=100&product_id=cdn&usage_type_name=%s&time_granularity=month&start_month=%s&end_month=%s",
				s.estate.Customer(c), loadgen.EstateLine, month, month), fastly(s.Key)
		}, `"service_id"`, services},
		{"Fastly v3, page of 100", func(c int) (string, http.Header) {
			return fmt.Sprintf("/billing/v3/service-usage-metrics?limit=100&start_month=%s&end_month=%s", month, month), fastly(s.bound[c])
		}, `"service_id"`, min(100, 3*services)},
		{"Akamai, a month of 4 statistics", func(c int) (string, http.Header) {
			path := fmt.Sprintf("/billing/v1/contracts/%s/products/%s/usage/monthly-summary?start=%s&end=%s", s.estate.Contract(c), loadgen.EstateProduct, month, next.Format("2006-01"))
			return path, s.sign(path)
		}, `"statType"`, 4},
		{"ThousandEyes, page of 100 tests", func(c int) (string, http.Header) {
			return fmt.Sprintf("/v7/usage/units/tests?aid=%s&startDate=%s&endDate=%s", s.estate.AID(c, 0), s.estate.Month.Format(time.RFC3339), next.Format(time.RFC3339)), bearer
		}, `"testId"`, tests},
		{"ThousandEyes, usage", func(c int) (string, http.Header) {
			return "/v7/usage?aid=" + s.estate.AID(c, 0), bearer
		}, `"cloudUnitsUsed"`, 1},
	}
}

// sign makes the header of a GET as EdgeGrid clients do.
func (s *surfaceRun) sign(path string) http.Header {
	nonce := fmt.Sprintf("%x-%x", s.Seed, s.nonce.Add(1))
	return http.Header{"Authorization": {edgegrid.Sign(s.signer, edgegrid.Request{Method: http.MethodGet, Scheme: "http", Host: s.target.Address, Target: path}, time.Now(), nonce)}}
}

// measure times each kind of request over all customers.
func (s *surfaceRun) measure(ctx context.Context) error {
	for _, kind := range s.kinds() {
		first, err := s.ask(ctx, kind, s.estate.Customers)
		if err != nil {
			return err
		}
		times, err := s.ask(ctx, kind, s.LoadCmd.Queries)
		if err != nil {
			return err
		}
		times.First50, times.First99, times.FirstCPU = first.P50, first.P99, first.CPU
		s.report.Surfaces = append(s.report.Surfaces, times)
	}
	return nil
}

func (s *surfaceRun) ask(ctx context.Context, kind surfaceRequest, requests int) (surfaceTimes, error) {
	took, rows, failed := make([]time.Duration, requests), make([]int, requests), make([]error, s.Connections)
	before := s.sample(ctx).serverCPU
	var next atomic.Int64
	var askers sync.WaitGroup
	for c := range s.Connections {
		askers.Go(func() {
			for failed[c] == nil {
				i := int(next.Add(1) - 1)
				if i >= requests {
					return
				}
				took[i], rows[i], failed[c] = s.askOnce(ctx, kind, i%s.estate.Customers)
			}
		})
	}
	askers.Wait()
	if err := errors.Join(failed...); err != nil {
		return surfaceTimes{}, fmt.Errorf("%s: %w", kind.name, err)
	}
	cpu := (s.sample(ctx).serverCPU - before) / time.Duration(requests)
	slices.Sort(took)
	at := func(share int) time.Duration { return took[min(requests-1, requests*share/100)] }
	return surfaceTimes{Name: kind.name, Requests: requests, Rows: slices.Min(rows), P50: at(50), P99: at(99), Max: took[requests-1], CPU: cpu}, nil
}

// askOnce sends one request and counts the rows of its answer.
func (s *surfaceRun) askOnce(ctx context.Context, kind surfaceRequest, customer int) (took time.Duration, rows int, err error) {
	path, header := kind.make(customer)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: s.target.Address}).String()+path, nil)
	if err != nil {
		return 0, 0, err
	}
	request.Header = header.Clone()
	began := time.Now()
	response, err := s.http.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	rows = bytes.Count(body, []byte(kind.row))
	if response.StatusCode != http.StatusOK || rows < kind.rows {
		return 0, 0, fmt.Errorf("%s: %s, %d rows, want %d: %.300s", path, response.Status, rows, kind.rows, body)
	}
	return took, rows, nil
}

func (r *surfacesReport) print(w io.Writer) error {
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
