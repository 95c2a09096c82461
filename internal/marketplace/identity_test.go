package marketplace

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the databases, which the tests damage
	_ "modernc.org/sqlite"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/sender"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// proof is a random history of usage, reports and faults, whose accounts are
// held against the ledger's own figures at every step: billed, carried,
// pending, failed, parked and absorbed of a dimension are what the ledger says
// of it, whatever the reporter has read.
type proof struct {
	*shop
	r        *rand.Rand
	m        *between
	reporter *Reporter
	database *sql.DB
	dollar   bool // parameters are $1

	all       []*seller
	groups    []string
	events    []meter.Identity
	forbidden string // the Azure resource that is answered 403
	less      string // the Azure resource of which half is recorded and the answer lost
	foreign   int    // chance in percent that somebody else answers
	slow      bool   // calls and freezes take their time
	crash     string
	cancel    context.CancelFunc
	through   time.Time  // up to which meters were read
	mu        sync.Mutex // of r2, forbidden, less and foreign
	r2        *rand.Rand // what is drawn in other goroutines

	log []string
}

// seller is an entitlement and what is known of it.
type seller struct {
	id, cloud  string
	ends       time.Time
	fed        map[string]meter.Aggregation // by dimension
	read       map[string]meter.Decimal     // by dimension: the ledger's figure when it was read last
	movedThen  map[string]meter.Decimal     // and what had been moved by then, ever
	termStarts []time.Time
}

var proofStart = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

var aggregations = []meter.Aggregation{meter.AggCount, meter.AggSum, meter.AggMin, meter.AggMax, meter.AggAvg, meter.AggLast, meter.AggUniqueCount, meter.AggPercentile, meter.AggPeak}

func newProof(t testing.TB, seed uint64, dsn string) *proof {
	t.Helper()
	p := &proof{r: rand.New(rand.NewPCG(seed, 0)), r2: rand.New(rand.NewPCG(seed, 1))}
	c := fixedtest.NewClock(ten.Add(time.Duration(p.r.IntN(11*24)) * time.Hour)) // some come to the end of the month
	dir := t.TempDir()
	driver := "pgx"
	if p.dollar = dsn != ""; !p.dollar {
		driver, dsn = "sqlite", filepath.Join(dir, "catalog.db")
	}
	p.shop = openShop(t, dir, dsn, c)
	t.Cleanup(p.close)
	var err error
	p.database, err = sql.Open(driver, dsn)
	p.must(err)
	t.Cleanup(func() { p.must(p.database.Close()) })
	p.createMeter(`{"key":"posted","event_type":"suger.record","aggregation":"SUM","value":"quantity","group_by":["entitlement","dimension"]}`)
	for _, a := range aggregations {
		value := `,"value":"bytes"`
		if a == meter.AggCount {
			value = ""
		}
		p.createMeter(fmt.Sprintf(`{"key":"m-%s","event_type":"traffic","aggregation":"%s"%s,"group_by":["customer","product","entitlement"]}`, strings.ToLower(string(a)), a, value))
	}
	for i := range 11 { // six of one Azure account's app
		s := &seller{id: fmt.Sprint("e", i), cloud: simulator.Azure, fed: map[string]meter.Aggregation{}, read: map[string]meter.Decimal{}, movedThen: map[string]meter.Decimal{}}
		if i >= 6 {
			s.cloud = []string{simulator.AWS, simulator.GCP}[i%2]
		}
		if i >= 4 && i < 9 { // each cloud
			for range 2 {
				a := aggregations[p.r.IntN(len(aggregations))]
				s.fed["m-"+strings.ToLower(string(a))] = a
			}
		}
		p.all = append(p.all, s)
	}
	p.applyAll()
	_, err = p.records.PutMeteringConfigs(context.Background(), org, []billing.MeteringConfig{{Partner: catalog.PartnerAWS, CommitFirst: true, OverageAtList: true},
		{Partner: catalog.PartnerAzure, CommitFirst: true}}, "test")
	p.must(err)
	p.m = &between{markets: &markets{Simulator: simulator.New(simulator.Options{Clock: c.Now, Seed: seed})}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.intercept(w, r) {
			p.m.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	p.m.url = server.URL
	p.restart()
	return p
}

// restart is a reporter that knows nothing of the one before.
func (p *proof) restart() {
	p.reporter = p.shop.reporter(p.m.markets, "one")
	for partner, s := range p.reporter.o.Senders {
		p.reporter.o.Senders[partner] = &watched{Sender: s, p: p}
	}
	p.reporter.o.Fault = func(point string) {
		if point == faultBeforeFreeze && p.slow {
			p.clock.Advance(6 * time.Minute)
		}
		if point == p.crash {
			p.cancel()
		}
	}
}

// watched is a sender whose lines nobody else may hold while it sends them.
type watched struct {
	sender.Sender
	p *proof
}

func (w *watched) Send(ctx context.Context, lines []sender.Line) []sender.Result {
	p := w.p
	if p.slow && ctx.Err() == nil {
		p.clock.Advance(30 * time.Second)
		mine := map[string]bool{}
		for _, l := range lines {
			mine[l.OperationID] = true
		}
		now := p.clock.Now()
		others, err := p.records.LeaseLines(context.Background(), "two", now, now.Add(5*time.Minute), 1000, func(l *billing.Line) bool { return mine[l.Operation] })
		if err != nil || len(others) > 0 {
			p.t.Errorf("%d lines that one is sending are leased by two: %v", len(others), err)
		}
	}
	return w.Sender.Send(ctx, lines)
}

// intercept answers in place of the marketplaces.
func (p *proof) intercept(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || strings.HasSuffix(r.URL.Path, ":check") {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	foreign, less, forbidden := p.r2.IntN(100) < p.foreign, p.less, p.forbidden
	p.mu.Unlock()
	if foreign {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<html>no route</html>"))
		return true
	}
	if !strings.HasPrefix(r.URL.Path, "/api/batch") {
		return false
	}
	var batch struct {
		Request []map[string]any `json:"request"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&batch) != nil {
		return false
	}
	for _, e := range batch.Request {
		if e["resourceId"] == azureResource(forbidden) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"code":"Forbidden","message":"no"}`))
			return true
		}
	}
	i := slices.IndexFunc(batch.Request, func(e map[string]any) bool { return e["resourceId"] == azureResource(less) })
	if i < 0 {
		return false
	}
	half := decimal(batch.Request[i]["quantity"].(json.Number).String()).Quo(meter.NewDecimal(2)).Round(6, meter.Down)
	if half.Sign() <= 0 {
		return false
	}
	p.answers(func() { p.less = "" })
	batch.Request[i]["quantity"] = json.Number(half.String())
	text, err := json.Marshal(batch)
	if err != nil {
		return false
	}
	again := r.Clone(context.Background())
	again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	p.m.ServeHTTP(httptest.NewRecorder(), again)
	panic(http.ErrAbortHandler)
}

// answers changes what intercept does; a call that was given up may still be answered.
func (p *proof) answers(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// applyAll makes the catalog what the sellers say.
func (p *proof) applyAll() {
	p.t.Helper()
	var b strings.Builder
	b.WriteString(product)
	for _, s := range p.all {
		dimensions := []string{`{key: gb, name: GB, unit_price: "0.05", list_price: "0.08", included: "20.5"}`, `{key: seat, name: Seats, unit_price: "1"}`}
		metrics := `gb: {name: gb, type: INT64}, seat: {name: seat, type: DOUBLE}`
		for _, key := range slices.Sorted(maps.Keys(s.fed)) {
			dimensions = append(dimensions, fmt.Sprintf(`{key: %s, name: M, unit_price: "0.5", meter: %s, scale: "0.7"}`, key, key))
			metrics += fmt.Sprintf(`, %s: {name: %s, type: INT64}`, key, key)
		}
		ends := ""
		if !s.ends.IsZero() {
			ends = ", ends: " + s.ends.Format(time.RFC3339)
		}
		terms := make([]string, len(s.termStarts)+1)
		for i := range terms {
			from, to := proofStart, ""
			if i > 0 {
				from = s.termStarts[i-1]
			}
			if i < len(s.termStarts) {
				to = ", ends: " + s.termStarts[i].Format(time.RFC3339)
			}
			terms[i] = fmt.Sprintf(`{id: t%d, starts: %s%s, commit: "3.7", included_per: %s}`, i, from.Format(time.RFC3339), to, []string{"term", "month"}[i%2])
		}
		list := strings.Replace(listing(s.cloud, s.account()), "gb: {name: gb, type: INT64}, seat: {name: seat, type: DOUBLE}", metrics, 1)
		list = strings.NewReplacer("prod1", "prod-"+s.id, "cdn.example.com", s.id+".example.com").Replace(list)
		fmt.Fprintf(&b, "  - {id: %s, customer: acme, product: cdn, starts: %s%s, terms: [%s], dimensions: [%s], %s}\n", s.id, proofStart.Format(time.RFC3339), ends,
			strings.Join(terms, ", "), strings.Join(dimensions, ", "), list)
	}
	p.apply(b.String())
}

func (s *seller) account() string { return "account-" + s.id }

func (p *proof) any() *seller { return p.all[p.r.IntN(len(p.all))] }

// note keeps what was done, to be shown when something is wrong.
func (p *proof) note(format string, args ...any) {
	p.log = append(p.log, p.clock.Now().Format("01-02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// run makes a history of so many steps.
func (p *proof) run(steps int) {
	for range steps {
		p.step()
		p.check()
		if p.t.Failed() {
			return
		}
	}
	p.settle()
}

// TestAccountsAgreeWithTheLedger: whatever happens, at every step what was
// billed, is carried, pending, failed, parked and absorbed of each dimension
// is what the ledger says of it, to the last digit; and in the end nothing is
// left that can be sent, and nothing waits that is not told.
//
// ODOMETER_SIM_STEPS is how many steps the long form makes on each database.
func TestAccountsAgreeWithTheLedger(t *testing.T) {
	t.Parallel()
	const each = 250
	first := fixedtest.Seed(t)
	steps := map[bool]int{false: each, true: each} // by whether it is PostgreSQL
	if long() {
		steps = map[bool]int{false: 400 * each, true: 40 * each}
		if text := os.Getenv("ODOMETER_SIM_STEPS"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			steps = map[bool]int{false: n, true: n / 10}
		}
	} else if testing.Short() {
		steps[false] = 60
	}
	databases(t, func(t *testing.T, dsn func(t *testing.T) string) {
		postgres := strings.HasSuffix(t.Name(), "PostgreSQL")
		for done, n := 0, uint64(0); done < steps[postgres]; n++ {
			some := min(each, steps[postgres]-done)
			t.Run(strconv.FormatUint(first+n, 10), func(t *testing.T) {
				p := newProof(t, first+n, dsn(t))
				p.run(some)
				if t.Failed() {
					t.Fatalf("ODOMETER_SEED=%d\n%s", first+n, strings.Join(p.log[max(0, len(p.log)-40):], "\n"))
				}
			})
			if done += some; t.Failed() {
				t.Fatalf("ODOMETER_SEED=%d after %d steps", first+n, done)
			}
		}
	})
}
