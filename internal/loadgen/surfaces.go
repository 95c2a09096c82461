package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"odometer/client"
	"odometer/internal/surface/akamai/edgegrid"
)

// SurfacesProfile is the load of this file: a catalog of size, a month of
// usage, and then the vendors' APIs asked over all customers.
const SurfacesProfile = "surfaces"

// Defaults of that profile.
const (
	surfacesEvents      = 5_000_000
	surfacesRequests    = 1000 // of each kind
	surfacesConnections = 8
	surfacesBatch       = 2000
)

// surfaceRun is one run of the profile.
type surfaceRun struct {
	*Run
	estate Estate
	http   *http.Client
	bound  []string          // a key of each customer
	signer edgegrid.Identity // sees every customer
	nonce  atomic.Uint64
	report SurfacesReport
}

// SurfacesReport holds the figures, as --json prints them.
type SurfacesReport struct {
	Profile         string         `json:"profile"`
	Seed            uint64         `json:"seed"`
	Connections     int            `json:"connections"`
	Document        int            `json:"document_bytes"`
	Apply           time.Duration  `json:"apply_ns"`       // the catalog, to an empty one
	ApplyAgain      time.Duration  `json:"apply_again_ns"` // the same again, which changes nothing
	ApplyOne        time.Duration  `json:"apply_one_ns"`   // with one name changed
	Events          uint64         `json:"events"`
	EventsPerSecond uint64         `json:"events_per_second"`
	Surfaces        []SurfaceTimes `json:"surfaces"`
	ResidentLoaded  int64          `json:"server_resident_loaded_bytes"` // when the events were in
	Resident        int64          `json:"server_resident_bytes"`        // when the requests were answered
}

// SurfaceTimes are those of one kind of request.
type SurfaceTimes struct {
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

// Surfaces applies a catalog, sends a month of usage and times the vendors' APIs.
func (r *Run) Surfaces(ctx context.Context) (*SurfacesReport, error) {
	run := *r
	if run.Connections == 0 {
		run.Connections = surfacesConnections
	}
	if run.Events == 0 {
		run.Events = surfacesEvents
	}
	if run.Queries == 0 {
		run.Queries = surfacesRequests
	}
	s := &surfaceRun{Run: &run, estate: NewEstate(run.Seed, run.Clock()),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: run.Connections, DisableCompression: true}, Timeout: time.Minute}}
	s.report = SurfacesReport{Profile: SurfacesProfile, Seed: run.Seed, Connections: run.Connections, Events: run.Events}
	for _, step := range []func(context.Context) error{s.apply, s.makeKeys, s.send, s.rest, s.measure} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	s.report.Resident = r.sample(ctx).resident
	return &s.report, nil
}

// apply times the catalog's way in.
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
		if _, err := s.Client.Apply(ctx, one.document, client.ApplyOptions{}); err != nil {
			return fmt.Errorf("apply the catalog: %w", err)
		}
		*one.took = time.Since(began)
	}
	return nil
}

// makeKeys makes the keys that the requests are sent with.
func (s *surfaceRun) makeKeys(ctx context.Context) error {
	for i := range s.estate.Customers {
		k, err := s.Client.CreateKey(ctx, client.NewKey{Role: "read", Customer: s.estate.Customer(i)})
		if err != nil {
			return fmt.Errorf("create a key: %w", err)
		}
		s.bound = append(s.bound, k.Token)
	}
	k, err := s.Client.CreateEdgeGridKey(ctx, client.NewKey{Role: "read"})
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
				result, err := s.Client.IngestBody(ctx, client.ContentBatch, body, false)
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
		m := s.Metrics(ctx)
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
	bearer := http.Header{"Authorization": {"Bearer " + s.Target.Key}}
	fastly := func(key string) http.Header { return http.Header{"Fastly-Key": {key}} }
	services, tests := s.estate.Services/s.estate.Customers, s.estate.Tests
	services, tests = services*9/10, tests*9/10 // what is used is drawn at random
	if s.Events < surfacesEvents {
		services, tests = 0, 0
	}
	return []surfaceRequest{
		{"Fastly v2, one usage type, 50 services", func(c int) (string, http.Header) {
			return fmt.Sprintf("/billing/v2/account_customers/%s/service-usage-metrics?limit=100&product_id=cdn&usage_type_name=%s&time_granularity=month&start_month=%s&end_month=%s",
				s.estate.Customer(c), estateLine, month, month), fastly(s.Target.Key)
		}, `"service_id"`, services},
		{"Fastly v3, page of 100", func(c int) (string, http.Header) {
			return fmt.Sprintf("/billing/v3/service-usage-metrics?limit=100&start_month=%s&end_month=%s", month, month), fastly(s.bound[c])
		}, `"service_id"`, min(100, 3*services)},
		{"Akamai, a month of 4 statistics", func(c int) (string, http.Header) {
			path := fmt.Sprintf("/billing/v1/contracts/%s/products/%s/usage/monthly-summary?start=%s&end=%s", s.estate.Contract(c), estateProduct, month, next.Format("2006-01"))
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
	return http.Header{"Authorization": {edgegrid.Sign(s.signer, edgegrid.Request{Method: http.MethodGet, Scheme: "http", Host: s.Target.Address, Target: path}, time.Now(), nonce)}}
}

// measure times each kind of request over all customers.
func (s *surfaceRun) measure(ctx context.Context) error {
	for _, kind := range s.kinds() {
		first, err := s.ask(ctx, kind, s.estate.Customers)
		if err != nil {
			return err
		}
		times, err := s.ask(ctx, kind, s.Queries)
		if err != nil {
			return err
		}
		times.First50, times.First99, times.FirstCPU = first.P50, first.P99, first.CPU
		s.report.Surfaces = append(s.report.Surfaces, times)
	}
	return nil
}

func (s *surfaceRun) ask(ctx context.Context, kind surfaceRequest, requests int) (SurfaceTimes, error) {
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
		return SurfaceTimes{}, fmt.Errorf("%s: %w", kind.name, err)
	}
	cpu := (s.sample(ctx).serverCPU - before) / time.Duration(requests)
	slices.Sort(took)
	at := func(share int) time.Duration { return took[min(requests-1, requests*share/100)] }
	return SurfaceTimes{Name: kind.name, Requests: requests, Rows: slices.Min(rows), P50: at(50), P99: at(99), Max: took[requests-1], CPU: cpu}, nil
}

// askOnce sends one request and counts the rows of its answer.
func (s *surfaceRun) askOnce(ctx context.Context, kind surfaceRequest, customer int) (took time.Duration, rows int, err error) {
	path, header := kind.make(customer)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: s.Target.Address}).String()+path, nil)
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
