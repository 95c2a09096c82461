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

	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/sender"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
	"odometer/internal/metering"
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
	_, err = p.catalog.PutMeteringConfigs(context.Background(), org, []catalog.MeteringConfig{{Partner: catalog.PartnerAWS, CommitFirst: true, OverageAtList: true},
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
		if point == FaultBeforeFreeze && p.slow {
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
		others, err := p.catalog.LeaseLines(context.Background(), "two", now, now.Add(5*time.Minute), 1000, func(l *catalog.Line) bool { return mine[l.Operation] })
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

// applyAll makes the catalogue what the sellers say.
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

// step does one random thing.
func (p *proof) step() {
	ctx := context.Background()
	switch n := p.r.IntN(100); {
	case n < 22:
		p.postSome()
	case n < 42:
		p.eventSome()
	case n < 45:
		p.voidSome()
	case n < 50:
		p.touchSome()
	case n < 53:
		suspended := p.r.IntN(2) == 0
		s := p.any()
		p.note("suspend %s %v", s.id, suspended)
		p.m.Suspend(s.account(), suspended)
	case n < 55:
		_, err := p.catalog.AddCredit(ctx, org, p.any().id, meter.NewDecimal(1+p.r.Int64N(5)).Quo(meter.NewDecimal(7)), catalog.Idempotency{}, "test")
		p.must(err)
	case n < 58:
		p.note("faults")
		for _, cloud := range clouds {
			p.m.SetFaults(cloud, simulator.Faults{Throttle: p.r.IntN(15), Error: p.r.IntN(15), Drop: p.r.IntN(15), ErrorAfter: p.r.IntN(15), Partial: p.r.IntN(15),
				Unavailable: p.r.IntN(10), Credentials: p.r.IntN(10)})
		}
	case n < 60:
		p.answers(func() { p.foreign = []int{0, 0, 20, 100}[p.r.IntN(4)] })
		p.note("somebody else answers %d in 100", p.foreign)
	case n < 62:
		p.answers(func() { p.forbidden = []string{"", p.all[p.r.IntN(6)].account()}[p.r.IntN(2)] })
		p.note("403 for %q", p.forbidden)
	case n < 63:
		p.answers(func() { p.less = p.all[p.r.IntN(6)].account() })
	case n < 65:
		p.crash = append([]string{"", ""}, FaultBeforeFreeze, FaultBeforeSend, FaultAfterSend, FaultAfterBook)[p.r.IntN(6)]
		p.note("crash at %q", p.crash)
	case n < 66:
		p.slow = p.r.IntN(2) == 0
	case n < 68:
		p.resolveSome()
	case n < 70:
		p.changeTerms()
	case n < 71:
		p.tamper()
	case n < 75:
		hours := p.r.IntN(8)
		if p.r.IntN(6) == 0 {
			hours = 20 + p.r.IntN(20) // the reporter was away, and windows have closed
		}
		p.clock.Advance(time.Duration(hours)*time.Hour + time.Duration(p.r.IntN(60))*time.Minute)
		p.note("away")
	case n < 76:
		p.restart()
		p.note("restart")
	default:
		p.clock.Advance(time.Duration(p.r.IntN(40)) * time.Minute)
		p.pass()
	}
}

func (p *proof) postSome() {
	s := p.any()
	at := p.clock.Now().Add(-time.Duration(p.r.IntN(100)) * time.Minute)
	if p.r.IntN(10) == 0 {
		at = at.Add(-time.Duration(p.r.IntN(40)) * time.Hour)
	}
	if !s.ends.IsZero() && !at.Before(s.ends) {
		return
	}
	n := metering.NewRecordGroup{ID: "g" + strconv.Itoa(len(p.groups)), Entitlement: s.id, Time: at,
		Records: map[string]meter.Decimal{"gb": decimal(fmt.Sprintf("%d.%07d", p.r.IntN(400), p.r.IntN(1e7)))}}
	if p.r.IntN(2) == 0 {
		n.Records["seat"] = decimal(fmt.Sprintf("0.%d", p.r.IntN(10)))
	}
	if p.r.IntN(12) == 0 {
		n.Records["gb"] = meter.NewDecimal(1e9 * (1 + p.r.Int64N(30)))
	}
	if _, err := p.service.ReportGroup(context.Background(), metering.Job(org, "test"), n, metering.Idempotency{}); err != nil {
		p.t.Fatalf("%+v: %v", n, err)
	}
	p.note("post %s %v at %s", s.id, n.Records, at.Format("01-02 15:04"))
	p.groups = append(p.groups, n.ID)
}

func (p *proof) eventSome() {
	for range 1 + p.r.IntN(3) {
		s := p.all[4+p.r.IntN(5)]
		at := p.clock.Now().Add(-time.Duration(p.r.IntN(100)) * time.Minute)
		if p.r.IntN(8) == 0 {
			at = at.Add(-time.Duration(p.r.IntN(60)) * time.Hour)
		}
		id := meter.Identity{Source: "edge", ID: strconv.Itoa(len(p.events))}
		p.events = append(p.events, id)
		body := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"edge","type":"traffic","subject":"acme","time":%q,"data":{"bytes":%d.%d,"entitlement":%q,"product":"cdn"}}`,
			id.ID, at.Format(time.RFC3339), p.r.IntN(30), p.r.IntN(10), s.id)
		got, err := p.service.Ingest(context.Background(), metering.Job(org, "test"), []byte(body), cloudevents.Auto, false)
		if err != nil || got.Accepted != 1 {
			p.t.Fatalf("%+v, %v", got, err)
		}
		p.note("event of %s at %s", s.id, at.Format("01-02 15:04"))
	}
}

func (p *proof) voidSome() {
	if len(p.events) > 0 {
		_, err := p.ledger.Void(context.Background(), org, []meter.Identity{p.events[p.r.IntN(len(p.events))]}, "test", "test")
		p.must(err)
		p.note("void")
	}
}

// touchSome deletes or retries a group, which may be refused.
func (p *proof) touchSome() {
	if len(p.groups) == 0 {
		return
	}
	id, who := p.groups[p.r.IntN(len(p.groups))], metering.Job(org, "test")
	var err error
	if p.r.IntN(3) > 0 {
		_, err = p.service.RetryGroup(context.Background(), who, id, time.Time{})
	} else {
		_, err = p.service.DeleteGroup(context.Background(), who, id, time.Time{})
	}
	if err != nil && meter.KindOf(err) != meter.KindInvalid {
		p.t.Fatal(err)
	}
	p.note("touch %s: %v", id, err)
}

// resolveSome lets a person, who knows what the marketplace holds, end something.
func (p *proof) resolveSome() {
	stuck := slices.DeleteFunc(p.stuck(), func(l catalog.StuckLine) bool { return l.State == catalog.LineFrozen || l.State == catalog.LineMoved })
	if len(stuck) == 0 {
		return
	}
	l := stuck[p.r.IntN(len(stuck))]
	as := []string{catalog.LineMoved, catalog.LineElsewhere, catalog.LineRefused, catalog.LineSettled}[p.r.IntN(4)]
	if held, is := p.held(l); l.Operation != "" && is {
		if held.Cmp(l.Quantity) != 0 || l.State == catalog.LineRefused {
			return
		}
		as = catalog.LineSettled
	} else if l.Operation != "" && as == catalog.LineSettled || l.State == catalog.LineRefused && as == catalog.LineRefused {
		as = catalog.LineMoved
	}
	p.note("resolve %s of %s, %s, as %s", l.Dimension, l.Entitlement, l.State, as)
	p.must(p.service.ResolveReport(context.Background(), metering.Job(org, "test"), l.Report, l.Dimension, as))
}

// held is what a marketplace holds for a line.
func (p *proof) held(l catalog.StuckLine) (meter.Decimal, bool) {
	for _, e := range p.m.Ledger() {
		if account := "account-" + l.Entitlement; slices.Contains([]string{account, azureResource(account), gcpConsumer(account)}, e.Account) && e.Dimension == l.Dimension && e.Hour.Equal(l.Hour) {
			return e.Quantity, true
		}
	}
	return meter.Decimal{}, false
}

// changeTerms begins a term, or ends an entitlement of which no meter is read.
func (p *proof) changeTerms() {
	s := p.any()
	now := p.clock.Now().Truncate(time.Second)
	switch {
	case !s.ends.IsZero() && !now.Before(s.ends) || len(s.termStarts) > 3:
		return
	case p.r.IntN(6) == 0 && len(s.fed) == 0:
		s.ends = now.Add(time.Duration(p.r.IntN(200)) * time.Minute)
		p.note("%s ends %s", s.id, s.ends)
	default:
		at := now.Add(time.Duration(p.r.IntN(200)-100) * time.Minute)
		if n := len(s.termStarts); n > 0 && !at.After(s.termStarts[n-1]) || !s.ends.IsZero() && !at.Before(s.ends) {
			return
		}
		s.termStarts = append(s.termStarts, at)
		p.note("%s has a term from %s", s.id, at)
	}
	p.applyAll()
}

// tamper damages a frozen line.
func (p *proof) tamper() {
	lines, err := p.catalog.FrozenLines(context.Background(), org, 10)
	if meter.KindOf(err) == meter.KindCorrupt { // one is damaged already
		return
	}
	p.must(err)
	if len(lines) == 0 {
		return
	}
	l := lines[p.r.IntN(len(lines))]
	target := []string{`{}`, `[]`, `"x"`, `{"aws":{}}`, `{"azure":{}}`, `{"gcp":{}}`, strings.Replace(string(l.Target), `"quantity":"`, `"quantity":"9`, 1), `{"hour":1}`}[p.r.IntN(8)]
	query := `UPDATE report_lines SET target = ? WHERE operation = ?`
	if p.dollar {
		query = `UPDATE report_lines SET target = $1 WHERE operation = $2`
	}
	_, err = p.database.Exec(query, target, l.Operation)
	p.must(err)
	p.note("the target of %s %s is %s", l.Account, l.Dimension, target)
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
