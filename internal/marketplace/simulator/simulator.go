// Package simulator plays AWS, Azure and GCP Marketplace on one address, by
// the rules that their documentation states: for tests, and for trying out a
// catalog before a customer is billed by it.
//
// It keeps a ledger of what it accepted, which is the other side's truth, and
// it fails on demand: by scripted faults one call at a time, or at random
// from a seed.
//
//	POST /                                 AWS, BatchMeterUsage
//	POST /api/batchUsageEvent, /api/usageEvent; GET /api/usageEvents   Azure
//	POST /v1/services/{service}:check, :report                        GCP
//	GET  /simulator/ledger, PUT /simulator/faults, /simulator/suspended   its own switches
package simulator

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"odometer/internal/meter"
)

// The marketplaces, as Entry and Faults name them.
const (
	AWS   = "aws"
	Azure = "azure"
	GCP   = "gcp"
)

// Entry is one accepted quantity.
type Entry struct {
	Cloud       string        `json:"cloud"`
	Account     string        `json:"account"` // customer or account with licence, resource, consumer
	Dimension   string        `json:"dimension"`
	Hour        time.Time     `json:"hour"`
	Quantity    meter.Decimal `json:"quantity"`
	OperationID string        `json:"operation_id,omitempty"` // GCP
	At          time.Time     `json:"at"`
}

// Faults are chances of a call to fail, each in percent.
type Faults struct {
	Throttle    int `json:"throttle"`    // 429, or AWS's ThrottlingException
	Error       int `json:"error"`       // 5xx, nothing recorded
	Drop        int `json:"drop"`        // recorded, and the connection closed without an answer
	ErrorAfter  int `json:"error_after"` // recorded, and answered 500
	Partial     int `json:"partial"`     // each entry of a batch may be left undone
	Unavailable int `json:"unavailable"` // the connection is closed before anything is recorded
	Credentials int `json:"credentials"` // refused as if the credentials had expired
}

// The scripted faults of Next: the names of Faults' fields, and none.
const (
	FaultNone        = ""
	FaultThrottle    = "throttle"
	FaultError       = "error"
	FaultDrop        = "drop"
	FaultErrorAfter  = "error_after"
	FaultPartial     = "partial"
	FaultUnavailable = "unavailable"
	FaultCredentials = "credentials"
)

// Options are what a Simulator needs.
type Options struct {
	Clock  func() time.Time
	Seed   uint64        // of the random faults
	Window time.Duration // age at which AWS and Azure refuse; 0 = 24 h
}

// Simulator is the three marketplaces. Its methods may be called from many
// goroutines.
type Simulator struct {
	clock  func() time.Time
	window time.Duration

	mu         sync.Mutex
	random     *rand.Rand
	faults     map[string]Faults
	next       map[string][]string // scripted, by cloud
	suspended  map[string]bool     // accounts
	invalid    map[string]bool     // dimensions
	accepted   map[string]*Entry   // by cloud and the key of uniqueness
	order      []*Entry
	operations map[string]string // GCP: content by operation id
	calls      map[string]int
	violations []string
}

// New returns a Simulator that has accepted nothing.
func New(o Options) *Simulator {
	if o.Window == 0 {
		o.Window = 24 * time.Hour
	}
	return &Simulator{clock: o.Clock, window: o.Window, random: rand.New(rand.NewPCG(o.Seed, 7)), faults: map[string]Faults{}, next: map[string][]string{},
		suspended: map[string]bool{}, invalid: map[string]bool{}, accepted: map[string]*Entry{}, operations: map[string]string{}, calls: map[string]int{}}
}

// Ledger returns what was accepted, in order.
func (s *Simulator) Ledger() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Entry, len(s.order))
	for i, e := range s.order {
		out[i] = *e
	}
	return out
}

// Total returns what was accepted of one account and dimension.
func (s *Simulator) Total(account, dimension string) meter.Decimal {
	var total meter.Decimal
	for _, e := range s.Ledger() {
		if e.Account == account && e.Dimension == dimension {
			total = total.Add(e.Quantity)
		}
	}
	return total
}

// Violations are the things that a correct reporter never does: another
// quantity under a key or operation id that stands, a zero where zeros are
// refused, a quantity of the wrong form.
func (s *Simulator) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// Calls is how many calls a cloud has received.
func (s *Simulator) Calls(cloud string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[cloud]
}

// SetFaults sets the chances of a cloud's calls to fail.
func (s *Simulator) SetFaults(cloud string, f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[cloud] = f
}

// Next scripts what the next calls of a cloud meet, before chance has its say again.
func (s *Simulator) Next(cloud string, faults ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next[cloud] = append(s.next[cloud], faults...)
}

// Suspend makes an account one that cannot be billed, or ends that.
func (s *Simulator) Suspend(account string, suspended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspended[account] = suspended
}

// RefuseDimension makes a dimension one that no product has.
func (s *Simulator) RefuseDimension(dimension string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invalid[dimension] = true
}

// ServeHTTP answers as the marketplaces do.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/" && r.Header.Get("X-Amz-Target") != "":
		s.serveAWS(w, r)
	case strings.HasPrefix(path, "/api/"):
		s.serveAzure(w, r)
	case strings.HasPrefix(path, "/v1/services/"):
		s.serveGCP(w, r)
	case strings.HasPrefix(path, "/simulator/"):
		s.serveSwitches(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Simulator) serveSwitches(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /simulator/ledger":
		writeJSON(w, http.StatusOK, "application/json", s.Ledger())
	case "PUT /simulator/faults": // {"aws": {"drop": 10}}
		setEach(w, r, s.SetFaults)
	case "PUT /simulator/suspended": // {"ACCOUNT": true}
		setEach(w, r, s.Suspend)
	default:
		http.NotFound(w, r)
	}
}

// setEach sets every entry of the object that the request's body is.
func setEach[T any](w http.ResponseWriter, r *http.Request, set func(name string, to T)) {
	var all map[string]T
	if !readJSON(w, r, &all) {
		return
	}
	for name, to := range all {
		set(name, to)
	}
	w.WriteHeader(http.StatusNoContent)
}

// fault draws what this call meets; the caller holds the lock.
func (s *Simulator) fault(cloud string) string {
	s.calls[cloud]++
	if next := s.next[cloud]; len(next) > 0 {
		s.next[cloud] = next[1:]
		return next[0]
	}
	f := s.faults[cloud]
	at := s.random.IntN(100)
	for _, c := range []struct {
		chance int
		name   string
	}{{f.Throttle, FaultThrottle}, {f.Error, FaultError}, {f.Drop, FaultDrop}, {f.ErrorAfter, FaultErrorAfter}, {f.Partial, FaultPartial},
		{f.Unavailable, FaultUnavailable}, {f.Credentials, FaultCredentials}} {
		if at -= c.chance; at < 0 {
			return c.name
		}
	}
	return FaultNone
}

// record keeps an accepted quantity; the caller holds the lock.
func (s *Simulator) record(key string, e Entry) {
	e.At = s.clock()
	s.accepted[key] = &e
	s.order = append(s.order, &e)
}

func (s *Simulator) violate(what string) { s.violations = append(s.violations, what) }

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

const maxBody = 1 << 20 // bytes of a request

func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
