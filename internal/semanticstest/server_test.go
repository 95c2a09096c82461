package semanticstest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/figures"
	"odometer/internal/httpserver"
	"odometer/internal/ledger"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	stored "odometer/internal/store/records"
	"odometer/internal/surface/akamai"
	"odometer/internal/surface/akamai/edgegrid"
	"odometer/internal/surface/fastly"
	"odometer/internal/surface/native"
	"odometer/internal/surface/suger"
	"odometer/internal/surface/thousandeyes"
)

// publicHost is the Host header of every request; links begin with it.
const publicHost = "meter.example"

// server is the whole service in one process: a ledger that is its maker's, a
// catalog, and every surface behind the real router.
type server struct {
	t       testing.TB
	clock   func() time.Time
	store   *store.Store
	keys    *keys.Store
	service *metering.Service
	records *records.Service
	http    *httpserver.Server
	admin   access.Principal
	token   string // the admin's; "" if the catalog was there before
	stop    context.CancelFunc
	done    chan error

	surfaces map[string]*httpserver.Surface
	nonces   atomic.Int64
}

// newServer opens the catalog of a folder over a ledger.
func newServer(t testing.TB, dir string, log *ledger.Ledger, clock func() time.Time) *server {
	t.Helper()
	return newServerOn(t, filepath.Join(dir, "catalog.db"), log, clock)
}

// newServerOn is newServer with its catalog at a place.
func newServerOn(t testing.TB, dsn string, log *ledger.Ledger, clock func() time.Time) *server {
	t.Helper()
	s := &server{t: t, clock: clock, done: make(chan error, 1)}
	ctx := context.Background()
	var err error
	secret := ""
	if strings.HasPrefix(dsn, "postgres") { // no folder of its own
		secret = filepath.Join(t.TempDir(), "secret.key")
	}
	s.store, err = store.Open(ctx, dsn, store.Options{Clock: clock, Limits: store.Limits{Nouns: 500_000}})
	s.check(err)
	s.keys, err = keys.Open(ctx, s.store, secret)
	s.check(err)
	s.token, err = s.keys.EnsureDefault(ctx, "test")
	s.check(err)
	s.service, err = metering.New(ctx, metering.Options{Ledger: log, Catalog: s.store, Keys: s.keys, Clock: clock})
	s.check(err)
	s.records = records.New(records.Options{Ledger: log, Store: stored.New(s.store), Catalog: s.store, Meters: s.service, Reads: s.service.Reads(), Clock: clock})
	s.service.UseMeterOwner(s.records)
	s.service.KeepBooks(metering.ProductBook(s.service), fastly.Book(s.service), akamai.Book(s.service))
	s.admin = access.Principal{Organization: "default", KeyID: "test", Role: access.RoleAdmin, Operator: true}
	s.http, err = httpserver.New(httpserver.Options{Listen: "127.0.0.1:0"})
	s.check(err)
	cursor := []byte("the cursors of these tests")
	s.surfaces = map[string]*httpserver.Surface{
		"native": native.Surface(s.service, s.records),
		"fastly": fastly.Surface(fastly.Options{Service: s.service, CursorKey: cursor, Clock: clock}),
		"thousandeyes": thousandeyes.Surface(thousandeyes.Options{Service: s.service, CursorKey: cursor, Clock: clock,
			Base: "https://" + publicHost, PageRows: 3}),
		"akamai": akamai.Surface(akamai.Options{Service: s.service, Credentials: akamai.Credentials(s.service), Scheme: "https", Clock: clock}),
		"suger":  suger.Surface(suger.Options{Service: s.service, Records: s.records, Clock: clock}),
	}
	for _, name := range []string{"native", "fastly", "thousandeyes", "akamai", "suger"} {
		s.http.Mount(s.surfaces[name])
	}
	s.check(s.http.Ready(s.service, figures.Of(s.service, s.records)))
	var serving context.Context
	serving, s.stop = context.WithCancel(ctx)
	go func() { s.done <- s.http.Run(serving) }()
	return s
}

func (s *server) close() {
	s.stop()
	served := <-s.done
	s.service.Close()
	for _, err := range []error{served, s.store.Close()} {
		if err != nil {
			s.t.Error(err)
		}
	}
}

// closeMonth closes a month of all customers of an organization, and returns
// the job that has done so.
func (s *server) closeMonth(p access.Principal, month string) catalog.CloseJob {
	s.t.Helper()
	job, err := s.service.CloseMonth(context.Background(), p, month)
	s.check(err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for job.Ended.IsZero() {
		<-tick.C
		job, err = s.service.CloseJob(context.Background(), p, strconv.FormatInt(job.ID, 10))
		s.check(err)
	}
	return job
}

func (s *server) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// in is the principal that may do everything in an organization.
func (s *server) in(organization string) access.Principal {
	p := s.admin
	p.Organization = organization
	return p
}

// apply makes an organization what a text says, and returns what changed.
func (s *server) apply(organization, text string, o metering.ApplyOptions) (catalog.Diff, error) {
	return s.service.Apply(context.Background(), s.in(organization), []byte(text), o)
}

// credential is a key in both of its kinds: the vendor decides which is sent.
type credential struct {
	token  string
	signer edgegrid.Identity
}

func (s *server) key(n access.NewKey) credential {
	s.t.Helper()
	token, signer := n, n
	token.Accounts, signer.DefaultAID = nil, "" // each is of one kind only
	var c credential
	var err error
	_, c.token, err = s.keys.CreateKey(context.Background(), token, "test")
	s.check(err)
	if !n.Role.Allows(access.ActionRead) { // there is no such key
		c.signer = edgegrid.Identity{ClientToken: "akab-none", AccessToken: "akab-none", Secret: "none"}
		return c
	}
	_, secret, err := s.keys.CreateEdgeGridKey(context.Background(), signer, "test")
	s.check(err)
	c.signer = edgegrid.Identity{ClientToken: secret.ClientToken, AccessToken: secret.AccessToken, Secret: secret.ClientSecret}
	return c
}

// authorize adds to a request what a vendor's client sends of its key.
func (s *server) authorize(vendor string, c credential, method, target string, h http.Header) {
	switch vendor {
	case "fastly":
		h.Set("Fastly-Key", c.token)
	case "akamai":
		h.Set("Authorization", edgegrid.Sign(c.signer, edgegrid.Request{Method: method, Scheme: "https", Host: publicHost, Target: target},
			s.clock(), fmt.Sprint("nonce-", s.nonces.Add(1))))
	default:
		h.Set("Authorization", "Bearer "+c.token)
	}
}

// request reads a request line as the server would from the wire.
func request(t testing.TB, method, target string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: " + publicHost + "\r\nX-Request-Id: test\r\n\r\n")))
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	r.RemoteAddr = "192.0.2.2:4711"
	return r
}

// send sends a request with a vendor's form of a key through the router; c is
// nil for none.
func (s *server) send(vendor string, c *credential, method, target string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := request(s.t, method, target)
	if c != nil {
		s.authorize(vendor, *c, method, target, r.Header)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	return w
}

// get decodes the answer to a request that must succeed.
func (s *server) get(vendor string, c credential, target string, into any) {
	s.t.Helper()
	w := s.send(vendor, &c, http.MethodGet, target)
	if w.Code == http.StatusNoContent {
		return
	}
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		s.t.Fatalf("%s: %v", target, err)
	}
}

// lineBytes is how long a line of a laid out answer may be.
const lineBytes = 150

// layout writes JSON compactly: what fits on a line stands on one, and what is
// longer begins lines of its own between its brackets.
func layout(text []byte, indent string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return string(text)
	}
	text = b.Bytes()
	if len(indent)+len(text) <= lineBytes || len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return string(text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return string(text)
	}
	var out strings.Builder
	line := indent + " "
	for d.More() {
		name := ""
		if text[0] == '{' {
			token, err := d.Token()
			if err != nil {
				return string(text)
			}
			name = fmt.Sprintf("%q:", token)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return string(text)
		}
		part := name + layout(value, indent+" ")
		if d.More() {
			part += ","
		}
		if line != indent+" " && len(line)+len(part) > lineBytes || strings.Contains(part, "\n") {
			out.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent + " "
		}
		line += part
	}
	opening := string(text[0]) + "\n"
	return opening + strings.TrimPrefix(out.String(), "\n") + line + "\n" + indent + string(text[len(text)-1])
}
