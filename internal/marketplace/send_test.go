package marketplace

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/sender"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// between answers instead of the marketplaces while it is set.
type between struct {
	*markets
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

func newBetween(t *testing.T, s *shop) *between {
	t.Helper()
	b := &between{markets: &markets{Simulator: simulator.New(simulator.Options{Clock: s.clock.Now})}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := b.answer.Load(); f != nil && (*f)(w, r) {
			return
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func (b *between) set(f func(w http.ResponseWriter, r *http.Request) bool) { b.answer.Store(&f) }

// lost lets the next call of a cloud be recorded and its answer be lost.
func (b *between) lost(cloud string) {
	if cloud == simulator.GCP {
		b.Next(cloud, simulator.FaultNone) // the check
	}
	b.Next(cloud, simulator.FaultDrop)
}

// refusals are what a marketplace, or somebody on the way to it, may answer
// to an attempt after one that was recorded.
func refusals(cloud string) map[string]func(w http.ResponseWriter, r *http.Request) bool {
	write := func(status int, contentType, body string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, ":check") {
				return false
			}
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	all := map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"a proxy's page":   write(http.StatusNotFound, "text/html", "<html>404</html>"),
		"a proxy's object": write(http.StatusBadRequest, "application/json", `{"message":"no route"}`),
		"an empty answer":  write(http.StatusGone, "text/plain", ""),
		"a blocked page":   write(http.StatusForbidden, "text/html", "<html>blocked</html>"),
	}
	switch cloud {
	case simulator.AWS:
		for _, code := range []string{"InvalidUsageDimensionException", "InvalidCustomerIdentifierException", "InvalidLicenseException", "ValidationException"} {
			all[code] = write(http.StatusBadRequest, "application/x-amz-json-1.1", `{"__type":"`+code+`","message":"no"}`)
		}
	case simulator.Azure:
		all["BadArgument"] = write(http.StatusBadRequest, "application/json", `{"code":"BadArgument","message":"no"}`)
	default:
		all["NOT_FOUND"] = write(http.StatusNotFound, "application/json", `{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}`)
	}
	return all
}

// TestARefusalAfterAnAttemptThatMayHaveBeenRecorded is not believed: Azure is
// asked and has it, the others hear it again until their window closes, and
// then it waits for a person. Nobody can have it billed again meanwhile.
func TestARefusalAfterAnAttemptThatMayHaveBeenRecorded(t *testing.T) {
	t.Parallel()
	for _, cloud := range clouds {
		for name, refusal := range refusals(cloud) {
			t.Run(cloud+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newShop(t)
				s.apply(oneEach(""))
				m := newBetween(t, s)
				r := s.reporter(m.markets, "one")
				g := s.post("e-"+cloud, "gb=3", ten)
				m.lost(cloud)
				s.hourOf(r, ten)
				m.set(refusal)
				for range 3 {
					s.clock.Advance(10 * time.Minute)
					s.run(r)
					if got := s.status(g); got == billing.GroupReportFailed {
						t.Fatal("the refusal was believed")
					}
					if _, err := s.records.RetryRecordGroup(context.Background(), org, g, "test"); err == nil {
						t.Fatal("it can be billed again")
					}
				}
				s.clock.Set(ten.Add(25 * time.Hour))
				for range 8 {
					s.run(r)
					s.clock.Advance(10 * time.Minute)
				}
				if cloud == simulator.Azure {
					s.wantStatus(g, billing.GroupReported) // read back
					s.agree(m.markets)
				} else if b := s.gb(m.markets, "e-"+cloud); b.Parked.String() != "3" {
					t.Errorf("%+v", b)
				}
				m.set(func(http.ResponseWriter, *http.Request) bool { return false })
				s.hourOf(r, s.clock.Now().Truncate(time.Hour))
				if got := m.Total(cloud+"-1", "gb"); got.String() != "3" {
					t.Errorf("%s were billed, want 3 once", got)
				}
			})
		}
	}
}

// TestARefusalThatEndsIsNoRefusal: the marketplace has the line and says so
// once what was wrong is mended.
func TestARefusalThatEndsIsNoRefusal(t *testing.T) {
	eachCloud(t, func(t *testing.T, s *shop, _ *markets, cloud string) {
		m := newBetween(t, s)
		r := s.reporter(m.markets, "one")
		g := s.post("e-"+cloud, "gb=3", ten)
		m.lost(cloud)
		s.hourOf(r, ten)
		m.set(refusals(cloud)["a proxy's page"])
		s.clock.Advance(10 * time.Minute)
		s.run(r)
		s.wantStatus(g, billing.GroupReportPending)
		m.set(func(http.ResponseWriter, *http.Request) bool { return false })
		s.clock.Advance(30 * time.Minute)
		s.run(r)
		s.wantStatus(g, billing.GroupReported)
		s.agree(m.markets)
	})
}

// TestWhatAMarketplaceCannotHold: a marketplace that claims to hold what was
// not sent is not believed; nothing is carried for it.
func TestWhatAMarketplaceCannotHold(t *testing.T) {
	t.Parallel()
	for _, held := range []string{"-1", "0", "3.5", "99999999"} {
		s := newShop(t)
		s.apply(oneEach(""))
		m := newBetween(t, s)
		m.set(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"count":1,"result":[{"status":"Duplicate","resourceId":"` + azureResource("azure-1") + `","dimension":"gb","effectiveStartTime":"2026-11-20T10:00:00Z",
				"error":{"code":"Duplicate","additionalInfo":{"acceptedMessage":{"resourceId":"` + azureResource("azure-1") + `","dimension":"gb","quantity":` + held + `}}}}]}`))
			return true
		})
		r := s.reporter(m.markets, "one")
		g := s.post("e-azure", "gb=3", ten)
		s.hourOf(r, ten)
		s.wantStatus(g, billing.GroupReportPending)
		if b := s.gb(m.markets, "e-azure"); b.Parked.String() != "3" || !b.Carry.IsZero() || !b.Sent.IsZero() {
			t.Errorf("holds %s: %+v", held, b)
		}
		stuck, err := s.records.StuckLines(context.Background(), org, 10)
		s.must(err)
		if len(stuck) != 1 || !strings.Contains(stuck[0].Message, "holds "+held) {
			t.Errorf("holds %s: %+v", held, stuck)
		}
	}
}

// TestALineThatCannotBeRead waits for a person with its reason, and keeps no other.
func TestALineThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, target := range []string{`{}`, `[]`, `"x"`, `null`, `{"aws":{}}`, `{"azure":{"resource_id":"a"},"dimension":"gb"}`, `{"gcp":null}`, `{"quantity":"x"}`, `{"hour":5}`} {
		eachCloudOnce(t, func(s *shop, m *markets, cloud string) {
			r := s.reporter(m, "one")
			bad, good := s.post("e-"+cloud, "gb=3", ten), s.post("e-"+cloud, "seat=2", ten)
			s.clock.Set(ten.Add(65 * time.Minute))
			s.freezeOnly(r)
			db, err := sql.Open("sqlite", s.dsn)
			s.must(err)
			_, err = db.Exec(`UPDATE report_lines SET target = ? WHERE dimension = 'gb'`, target)
			s.must(err)
			s.must(db.Close())
			for range 3 {
				s.run(r)
				s.clock.Advance(10 * time.Minute)
			}
			s.wantStatus(good, billing.GroupReported)
			s.wantStatus(bad, billing.GroupReportPending)
			if b := s.gb(m, "e-"+cloud); b.Parked.String() != "3" {
				t.Errorf("%s: %+v", target, b)
			}
			stuck, err := s.records.StuckLines(context.Background(), org, 10)
			s.must(err)
			if len(stuck) != 1 || stuck[0].State != billing.LineParked || !strings.Contains(stuck[0].Message, "the frozen line") {
				t.Errorf("%s: %+v", target, stuck)
			}
		})
	}
}

func eachCloudOnce(t *testing.T, f func(s *shop, m *markets, cloud string)) {
	t.Helper()
	for _, cloud := range clouds {
		s := newShop(t)
		s.apply(oneEach(""))
		f(s, newMarkets(t, s.clock, 1), cloud)
	}
}

// freezeOnly makes a pass that sends nothing.
func (s *shop) freezeOnly(r *Reporter) {
	s.t.Helper()
	senders := r.o.Senders
	r.o.Senders = nil
	s.run(r)
	r.o.Senders = senders
}

// slow is a marketplace that takes half a minute for each call, and notes who calls for what at a time.
type slow struct {
	mu    sync.Mutex
	clock *fixedtest.Clock
	calls map[string][]time.Time // by operation
	done  func(l sender.Line) sender.Result
}

func (s *slow) Send(_ context.Context, lines []sender.Line) []sender.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []sender.Result
	for _, l := range lines {
		s.calls[l.OperationID] = append(s.calls[l.OperationID], s.clock.Now())
		out = append(out, s.done(l))
	}
	s.clock.Advance(30 * time.Second) // four at once take less than half of a lease
	return out
}

func (s *slow) Reconcile(ctx context.Context, lines []sender.Line) []sender.Result {
	return s.Send(ctx, lines)
}

// leasing counts how often a pass asks for lines, and ends one that never stops asking.
type leasing struct {
	LineStore
	calls atomic.Int32
	most  int32
	end   context.CancelFunc
}

func (l *leasing) LeaseLines(ctx context.Context, owner string, now, until time.Time, limit int, want func(*billing.Line) bool) ([]billing.Line, error) {
	if l.calls.Add(1) > l.most {
		l.end()
	}
	return l.LineStore.LeaseLines(ctx, owner, now, until, limit, want)
}

// TestALineHasOneSenderAtATime: a pass that takes hours leases each line by the
// clock of then, and begins no call that its lease does not outlast.
func TestALineHasOneSenderAtATime(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var yaml strings.Builder
	yaml.WriteString(product)
	for i := range 60 { // products of their own, so calls of their own
		yaml.WriteString(strings.Replace(entitlement(ids(i), simulator.AWS, ids(i), ""), "prod1", ids(i), 1))
	}
	s.apply(yaml.String())
	for i := range 60 {
		s.post(ids(i), "gb=1", ten)
	}
	sent := &slow{clock: s.clock, calls: map[string][]time.Time{}, done: func(l sender.Line) sender.Result {
		return sender.Result{Outcome: sender.Settled, Accepted: l.Quantity}
	}}
	reporter := func(owner string) *Reporter {
		return New(Options{Usage: s.service, Entries: s.service, Records: s.room, Accounts: s.catalog, Store: s.records, Senders: map[string]sender.Sender{catalog.PartnerAWS: sent}, Clock: s.clock.Now, Owner: owner})
	}
	one, two := reporter("one"), reporter("two")
	s.clock.Set(ten.Add(65 * time.Minute))
	inner := sent.done
	sent.done = func(l sender.Line) sender.Result { // while one sends, two looks for work
		now := s.clock.Now()
		lines, err := s.records.LeaseLines(context.Background(), "two", now, now.Add(two.timing.Lease), 1000, func(other *billing.Line) bool { return other.Operation == l.OperationID })
		if err != nil || len(lines) > 0 {
			t.Errorf("%s is sent by one and leased by two: %v", l.OperationID, err)
		}
		return inner(l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked := &leasing{LineStore: one.lines, most: 100, end: cancel}
	one.lines = asked
	s.must(one.RunOnce(ctx, s.clock.Now()))
	if len(sent.calls) != 60 {
		t.Errorf("%d lines were sent", len(sent.calls))
	}
	for operation, at := range sent.calls {
		if len(at) != 1 {
			t.Errorf("%s was sent at %v", operation, at)
		}
	}
	for k, b := range s.balance(newMarkets(t, s.clock, 1)) {
		if k.Dimension == "gb" && b.Sent.Cmp(meter.NewDecimal(1)) != 0 {
			t.Errorf("%v: %+v", k, b)
		}
	}
}

func ids(i int) string { return "e" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }

func passOn(http.ResponseWriter, *http.Request) bool { return false }

// holds lets Azure answer that it holds a quantity of an account for the hour of ten.
func (b *between) holds(account, dimension, quantity string) {
	resource := azureResource(account)
	b.set(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"count":1,"result":[{"status":"Duplicate","resourceId":"` + resource + `","dimension":"` + dimension + `","effectiveStartTime":"2026-11-20T10:00:00Z",
			"error":{"code":"Duplicate","additionalInfo":{"acceptedMessage":{"resourceId":"` + resource + `","dimension":"` + dimension + `","quantity":` + quantity + `}}}}]}`))
		return true
	})
}

func decimal(text string) meter.Decimal {
	d, err := meter.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// TestReadTargets: below the checksums of rows, too, a line whose target is
// not its own is parked with the reason, and a sound one is sent.
func TestReadTargets(t *testing.T) {
	t.Parallel()
	line := func(dimension, target string) billing.Line {
		return billing.Line{Partner: catalog.PartnerAzure, Operation: "op", Dimension: dimension, Hour: ten, Quantity: meter.NewDecimal(3),
			Target: json.RawMessage(target), Deadline: ten.Add(24 * time.Hour)}
	}
	sound, err := json.Marshal(sender.Line{OperationID: "op", Dimension: "gb", Hour: ten, Quantity: meter.NewDecimal(3), Azure: &sender.AzureAccount{ResourceID: azureResource("azure-1")}})
	if err != nil {
		t.Fatal(err)
	}
	text := string(sound)
	for _, target := range []string{`{`, `{}`, `[]`, `null`, strings.Replace(text, `"op"`, `"another"`, 1), strings.Replace(text, `"gb"`, `"seat"`, 1),
		strings.Replace(text, "T10:", "T11:", 1), strings.Replace(text, `"3"`, `"4"`, 1), strings.Replace(text, `"azure"`, `"gcp"`, 1)} {
		if target == text {
			t.Fatalf("the target is the sound one: %s", text)
		}
		items, unread := readTargets(ten, []billing.Line{line("gb", target), line("gb", text)})
		if len(items) != 1 || string(items[0].line.Target) != text {
			t.Errorf("%s: %d are sent", target, len(items))
		}
		if len(unread) != 1 || unread[0].To != billing.LineParked || !strings.Contains(unread[0].Message, "the frozen line") {
			t.Errorf("%s: %+v", target, unread)
		}
	}
}
