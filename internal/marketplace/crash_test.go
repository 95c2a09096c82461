package marketplace

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"odometer/internal/billing"
	"odometer/internal/fixedtest"
	"odometer/internal/marketplace/simulator"
	"odometer/internal/metering"
	"odometer/internal/records"
	"odometer/internal/store"
	"odometer/internal/store/postgrestest"
	stored "odometer/internal/store/records"
)

// The environment of a child, which is this test binary.
const (
	childEnv = "ODOMETER_TEST_REPORTER" // dir, dsn, url, unix time and fault point, by line
	inFlight = "in-flight"              // killed by the marketplace: it has recorded, and not answered
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		child(strings.Split(text, "\n"))
	}
	os.Exit(m.Run())
}

// childBench reports a child's failures.
type childBench struct{ testing.TB }

func (childBench) Helper() {}
func (childBench) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(2)
}
func (c childBench) Error(args ...any) { c.Fatal(args...) }

// child makes one pass and dies at a point of it as no program expects to.
func child(args []string) {
	dir, dsn, url, unix, point := args[0], args[1], args[2], args[3], args[4]
	t := childBench{}
	seconds, err := strconv.ParseInt(unix, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c := fixedtest.NewClock(time.Unix(seconds, 0).UTC())
	s := openShop(t, dir, dsn, c)
	r := New(Options{Usage: s.service, Entries: s.service, Records: s.room, Accounts: s.catalog, Store: s.records, Senders: sendersTo(t, url), Clock: c.Now, Owner: "child", Fault: func(at string) {
		if at == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	if err := r.RunOnce(context.Background(), c.Now()); err != nil {
		t.Fatal(err)
	}
	os.Exit(0)
}

// crash is a shop whose reporter died, and the marketplaces.
type crash struct {
	*shop
	m          *markets
	good, half string // groups: one that is accepted, one of which a dimension is refused
}

// bad is a dimension that the marketplaces refuse.
const bad = "bad"

func crashCatalog(cloud string) string {
	metrics := strings.NewReplacer("type: INT64}", "type: INT64}, bad: {name: bad, type: INT64}")
	one := func(id, account string) string {
		return strings.Replace(metrics.Replace(entitlement(id, cloud, account, "")), "{key: seat", "{key: bad, name: Bad}, {key: seat", 1)
	}
	return product + one("good", "account-1") + one("half", "account-2")
}

// crashAt lets a reporter die at a point of its pass and opens the stores again.
func crashAt(t *testing.T, cloud, dsn, point string) *crash {
	t.Helper()
	dir := t.TempDir()
	if dsn == "" {
		dsn = filepath.Join(dir, "catalog.db")
	}
	c := fixedtest.NewClock(ten)
	s := openShop(t, dir, dsn, c)
	s.apply(crashCatalog(cloud))
	x := &crash{good: s.post("good", "gb=10.75 seat=2", ten.Add(time.Minute)), half: s.post("half", "gb=4.5 bad=3", ten.Add(2*time.Minute))}
	s.close()
	c.Set(ten.Add(65 * time.Minute))

	sim := simulator.New(simulator.Options{Clock: c.Now})
	sim.RefuseDimension(bad)
	var kill sync.Once
	started := make(chan *exec.Cmd, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if point != inFlight || strings.HasSuffix(r.URL.Path, ":check") || c.Now().After(ten.Add(65*time.Minute)) {
			sim.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		sim.ServeHTTP(recorded, r)
		if len(sim.Ledger()) == 0 { // a call refused for what one record holds
			w.Header().Set("Content-Type", recorded.Header().Get("Content-Type"))
			w.WriteHeader(recorded.Code)
			_, _ = w.Write(recorded.Body.Bytes())
			return
		}
		kill.Do(func() { _ = (<-started).Process.Kill() })
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)

	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{dir, dsn, server.URL, strconv.FormatInt(c.Now().Unix(), 10), point}, "\n"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started <- cmd
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, stderr.String())
	}
	x.shop = openShop(t, dir, dsn, c)
	t.Cleanup(x.close)
	x.m = &markets{sim, server.URL}
	return x
}

func databases(t *testing.T, f func(t *testing.T, dsn func(t *testing.T) string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		f(t, func(*testing.T) string { return "" })
	})
	if testing.Short() {
		return
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		server, ok := postgrestest.Start(t)
		if !ok {
			return
		}
		f(t, func(t *testing.T) string { return server.Fresh(t) })
	})
}

// TestReporterIsKilled: at whatever point the reporter dies, after recovery
// both sides hold the same, each group has its due, and nothing was sent twice.
func TestReporterIsKilled(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn func(t *testing.T) string) {
		for _, cloud := range clouds {
			if testing.Short() && cloud != simulator.Azure {
				continue
			}
			for _, point := range append([]string{inFlight}, faultPoints...) {
				t.Run(cloud+"/"+point, func(t *testing.T) { recovers(t, crashAt(t, cloud, dsn(t), point), cloud, point) })
			}
		}
	})
}

func recovers(t *testing.T, x *crash, cloud, point string) {
	x.balance(x.m)
	accepted := len(x.m.Ledger())
	switch point {
	case faultBeforeFreeze:
		x.wantStatus(x.good, billing.GroupCreated)
		if calls := x.m.Calls(cloud); calls != 0 {
			t.Errorf("%d calls before anything was frozen", calls)
		}
	case faultBeforeSend:
		x.wantStatus(x.good, billing.GroupReportPending)
		if calls := x.m.Calls(cloud); calls != 0 {
			t.Errorf("%d calls", calls)
		}
	case inFlight, faultAfterSend:
		x.wantStatus(x.good, billing.GroupReportPending)
		if accepted == 0 {
			t.Error("nothing was accepted before the crash")
		}
	}
	r := x.reporter(x.m, "next")
	x.clock.Advance(time.Minute)
	x.run(r) // the lease of the dead holds
	x.balance(x.m)
	for range 4 {
		x.clock.Advance(5 * time.Minute)
		x.run(r)
		x.agree(x.m)
	}
	x.wantStatus(x.good, billing.GroupReported)
	// After an attempt that may have been recorded a refusal is believed where the marketplace can be asked.
	doubted := cloud != simulator.Azure && (point == faultBeforeSend || point == inFlight || point == faultAfterSend)
	if doubted {
		x.wantStatus(x.half, billing.GroupReportPending)
		x.clock.Set(ten.Add(25 * time.Hour))
		x.run(r)
		x.wantStatus(x.half, billing.GroupReportPending)
	} else {
		x.wantStatus(x.half, billing.GroupReportFailed)
	}
	good, half := "10", "4"
	if cloud == simulator.Azure {
		good, half = "10.75", "4.5"
	}
	if got := x.m.Total("account-1", "gb"); got.String() != good {
		t.Errorf("account-1: %s, want %s", got, good)
	}
	if got := x.m.Total("account-2", "gb"); got.String() != half || len(x.m.Ledger()) != 3 {
		t.Errorf("account-2: %s, want %s; %d entries", got, half, len(x.m.Ledger()))
	}
	failed := x.balance(x.m)[billing.DimensionKey{Entitlement: "half", Dimension: bad}]
	if failed.Failed.String() != "3" && !doubted || doubted && failed.Parked.String() != "3" {
		t.Errorf("%+v", failed)
	}
}

// TestTwoReportersAtOnce: on one catalog in PostgreSQL, both closing and
// sending the same hours at the same time.
func TestTwoReportersAtOnce(t *testing.T) {
	t.Parallel()
	server, ok := postgrestest.Start(t)
	if !ok {
		return
	}
	c := fixedtest.NewClock(ten)
	dsn, dir := server.Fresh(t), t.TempDir()
	s := openShop(t, dir, dsn, c)
	t.Cleanup(s.close)
	other, err := store.Open(context.Background(), dsn, store.Options{Clock: c.Now})
	s.must(err)
	t.Cleanup(func() { s.must(other.Close()) })
	there, err := metering.New(context.Background(), metering.Options{Ledger: s.ledger, Catalog: other, Keys: s.keys, Clock: c.Now})
	s.must(err)
	room := records.New(records.Options{Ledger: s.ledger, Store: stored.New(other), Catalog: other, Meters: there, Reads: there.Reads(), Clock: c.Now})
	var yaml strings.Builder
	yaml.WriteString(product)
	for i := range 30 {
		cloud := clouds[i%3]
		yaml.WriteString(entitlement(fmt.Sprint("e", i), cloud, fmt.Sprint("account-", i), ""))
	}
	s.apply(yaml.String())
	m := newMarkets(t, c, fixedtest.Seed(t))
	for _, cloud := range clouds {
		m.SetFaults(cloud, simulator.Faults{Drop: 5, Error: 5, Partial: 5})
	}
	reporters := []*Reporter{s.reporter(m, "one"),
		New(Options{Usage: s.service, Entries: there, Records: room, Accounts: other, Store: stored.New(other), Senders: sendersTo(t, m.url), Clock: c.Now, Owner: "two"})}
	for hour := range 4 {
		for i := range 30 {
			s.post(fmt.Sprint("e", i), "gb=1.75 seat=3", ten.Add(time.Duration(hour)*time.Hour))
		}
		c.Set(ten.Add(time.Duration(hour)*time.Hour + 65*time.Minute))
		for range 5 {
			var both sync.WaitGroup
			for _, r := range reporters {
				both.Go(func() {
					if err := r.RunOnce(context.Background(), c.Now()); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			s.balance(m)
			c.Advance(6 * time.Minute)
		}
	}
	for range 10 {
		c.Advance(6 * time.Minute)
		s.run(reporters[0])
	}
	s.agree(m)
	for k, b := range s.balance(m) {
		if !b.Pending.IsZero() || b.Mapped.Cmp(b.Settled.Add(b.Carry)) != 0 {
			t.Errorf("%+v: %+v", k, b)
		}
	}
}
