package sender

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"odometer/internal/marketplace/simulator"
	"odometer/internal/meter"
)

// start is the hour that the tests report, an hour before their clock.
var start = time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)

// rig is one sender and the marketplaces.
type rig struct {
	sim    *simulator.Simulator
	now    time.Time
	sender Sender
	cloud  string
}

func newRig(t *testing.T, cloud string) *rig {
	t.Helper()
	r := &rig{now: start.Add(65 * time.Minute), cloud: cloud}
	r.sim = simulator.New(simulator.Options{Clock: func() time.Time { return r.now }})
	server := httptest.NewServer(r.sim)
	t.Cleanup(server.Close)
	switch cloud {
	case simulator.AWS:
		r.sender = NewAWS(AWSOptions{Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Endpoint: server.URL})
	case simulator.Azure:
		r.sender = NewAzure(server.URL+"/", func(context.Context, bool) (string, error) { return "token", nil }, server.Client())
	default:
		var err error
		if r.sender, err = NewGCP(server.URL, nil, http.DefaultClient); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// line is one of many lines of an hour, told apart by account.
func (r *rig) line(account, quantity string) Line {
	q, err := meter.ParseDecimal(quantity)
	if err != nil {
		panic(err)
	}
	l := Line{OperationID: "op-" + account, Dimension: "gb", Hour: start, Quantity: q}
	switch r.cloud {
	case simulator.AWS:
		l.AWS = &AWSAccount{ProductCode: "p1", CustomerIdentifier: account, Region: "us-east-1"}
	case simulator.Azure:
		l.Azure = &AzureAccount{ResourceID: account, PlanID: "gold"}
	default:
		l.GCP = &GCPAccount{Service: "cdn.example.com", ConsumerID: account, Metric: "gb", Type: gcpInt64}
	}
	return l
}

func (r *rig) send(lines ...Line) []Result { return r.sender.Send(context.Background(), lines) }

func eachCloud(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Parallel()
	for _, cloud := range []string{simulator.AWS, simulator.Azure, simulator.GCP} {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			f(t, newRig(t, cloud))
		})
	}
}

func (r *rig) clean(t *testing.T) {
	t.Helper()
	if v := r.sim.Violations(); len(v) > 0 {
		t.Errorf("violations: %q", v)
	}
}

func TestManyLinesSettleOnce(t *testing.T) {
	eachCloud(t, func(t *testing.T, r *rig) {
		var lines []Line
		for i := range 2*MaxBatch + 1 { // one past two batches
			lines = append(lines, r.line(fmt.Sprint("c", i), fmt.Sprint(i+1)))
		}
		for range 2 { // the second time everything is there already
			for i, got := range r.send(lines...) {
				if got.Outcome != Settled || got.Accepted.Cmp(lines[i].Quantity) != 0 || got.Reason != "" {
					t.Fatalf("line %d: %+v", i, got)
				}
				if got.Request == nil || got.Response == nil {
					t.Fatalf("line %d: no exchange kept", i)
				}
			}
		}
		if n := len(r.sim.Ledger()); n != len(lines) {
			t.Errorf("%d entries accepted, want %d", n, len(lines))
		}
		r.clean(t)
	})
}

// TestFaultsAreUnknownAndHealed: whatever a call meets is unknown, never
// refused, and the same lines sent again settle once.
func TestFaultsAreUnknownAndHealed(t *testing.T) {
	eachCloud(t, func(t *testing.T, r *rig) {
		for i, c := range []struct {
			fault             string
			notStored, stored bool
		}{
			{simulator.FaultThrottle, true, false}, {simulator.FaultError, false, false}, {simulator.FaultDrop, false, true},
			{simulator.FaultErrorAfter, false, true}, {simulator.FaultUnavailable, false, false}, {simulator.FaultCredentials, true, false},
		} {
			l := r.line(fmt.Sprint("c", i), "7")
			before := len(r.sim.Ledger())
			if r.cloud == simulator.GCP {
				r.sim.Next(r.cloud, simulator.FaultNone) // the check before the report
			}
			r.sim.Next(r.cloud, c.fault)
			if r.cloud == simulator.Azure && c.fault == simulator.FaultCredentials {
				r.sim.Next(r.cloud, c.fault) // the renewed token is refused as well
			}
			got := r.send(l)[0]
			if got.Outcome != Unknown || got.NotStored != c.notStored || got.Setup != (c.fault == simulator.FaultCredentials) {
				t.Errorf("%s: %+v", c.fault, got)
			}
			if stored := len(r.sim.Ledger()) > before; stored != c.stored {
				t.Errorf("%s: stored %v", c.fault, stored)
			}
			if got = r.send(l)[0]; got.Outcome != Settled {
				t.Errorf("%s, sent again: %+v", c.fault, got)
			}
			if n := len(r.sim.Ledger()); n != before+1 {
				t.Errorf("%s: %d entries for one line", c.fault, n-before)
			}
		}
		r.clean(t)
	})
}

func TestPartialFailuresAreRetriedAlone(t *testing.T) {
	eachCloud(t, func(t *testing.T, r *rig) {
		if r.cloud == simulator.GCP {
			r.sim.Next(r.cloud, simulator.FaultNone)
		}
		r.sim.Next(r.cloud, simulator.FaultPartial)
		var lines []Line
		for i := range 20 {
			lines = append(lines, r.line(fmt.Sprint("c", i), "1"))
		}
		for round := 0; len(lines) > 0; round++ {
			if round > 10 {
				t.Fatal("does not settle")
			}
			var rest []Line
			for i, got := range r.send(lines...) {
				switch got.Outcome {
				case Refused:
					t.Fatalf("%+v", got)
				case Unknown:
					rest = append(rest, lines[i])
				}
			}
			lines = rest
		}
		if n := len(r.sim.Ledger()); n != 20 {
			t.Errorf("%d entries", n)
		}
		r.clean(t)
	})
}

// TestPoisonedBatch: one bad line sinks neither the batch nor its neighbours.
func TestPoisonedBatch(t *testing.T) {
	eachCloud(t, func(t *testing.T, r *rig) {
		r.sim.RefuseDimension("bad")
		var lines []Line
		for i := range 25 {
			l := r.line(fmt.Sprint("c", i), "3")
			if i == 7 || i == 18 {
				l.Dimension = "bad"
				if l.GCP != nil {
					l.GCP.Metric = "bad"
				}
			}
			lines = append(lines, l)
		}
		for i, got := range r.send(lines...) {
			want := Settled
			if i == 7 || i == 18 {
				want = Refused
			}
			if got.Outcome != want || got.Outcome == Refused && !got.Permanent {
				t.Errorf("line %d: %+v", i, got)
			}
		}
		r.clean(t)
	})
}

// TestHourBeyondTheWindow: only this hour is closed; the usage may be sent for another.
func TestHourBeyondTheWindow(t *testing.T) {
	eachCloud(t, func(t *testing.T, r *rig) {
		if r.cloud == simulator.GCP {
			return // takes late reports
		}
		r.now = start.Add(24*time.Hour - time.Second)
		if got := r.send(r.line("last", "1"))[0]; got.Outcome != Settled {
			t.Errorf("a second before: %+v", got)
		}
		r.now = start.Add(24 * time.Hour)
		fresh := r.line("fresh", "1")
		fresh.Hour = r.now.Add(-time.Hour)
		got := r.send(r.line("late", "1"), fresh)
		if got[0].Outcome != Refused || got[0].Permanent {
			t.Errorf("at 24 hours: %+v", got[0])
		}
		if got[1].Outcome != Settled {
			t.Errorf("its neighbour: %+v", got[1])
		}
		r.clean(t)
	})
}

func TestSuspendedCustomer(t *testing.T) {
	eachCloud(t, func(t *testing.T, r *rig) {
		r.sim.Suspend("gone", true)
		got := r.send(r.line("gone", "1"), r.line("here", "1"))
		if got[1].Outcome != Settled {
			t.Errorf("its neighbour: %+v", got[1])
		}
		switch r.cloud {
		case simulator.AWS:
			if got[0].Outcome != Refused || !got[0].Permanent || got[0].Reason != "CustomerNotSubscribed" {
				t.Errorf("%+v", got[0])
			}
		default: // may end while the hour is still open
			if got[0].Outcome != Unknown || !got[0].Suspended || !got[0].NotStored {
				t.Errorf("%+v", got[0])
			}
			r.sim.Suspend("gone", false)
			if got := r.send(r.line("gone", "1"))[0]; got.Outcome != Settled {
				t.Errorf("afterwards: %+v", got)
			}
		}
		r.clean(t)
	})
}

// TestAnotherQuantityStandsThere: what was accepted first is told where the
// marketplace tells it.
func TestAnotherQuantityStandsThere(t *testing.T) {
	t.Parallel()
	aws := newRig(t, simulator.AWS)
	aws.send(aws.line("c", "5"))
	if got := aws.send(aws.line("c", "6"))[0]; got.Outcome != Refused || !got.Permanent || got.Reason != "DuplicateRecord" {
		t.Errorf("AWS: %+v", got)
	}
	azure := newRig(t, simulator.Azure)
	azure.send(azure.line("c", "5.25"))
	if got := azure.send(azure.line("c", "6"))[0]; got.Outcome != Settled || got.Accepted.String() != "5.25" || got.Reason != "Duplicate" {
		t.Errorf("Azure: %+v", got)
	}
	if got := azure.send(azure.line("c", "5"))[0]; got.Outcome != Unknown || !got.Contested {
		t.Errorf("more stands there than was sent: %+v", got)
	}
}

func TestAzureReadsBackADay(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Azure)
	known, first, second := r.line("c", "5"), r.line("c", "0.5"), r.line("c", "0.25")
	known.Hour, second.Hour = start.Add(-time.Hour), start.Add(-2*time.Hour)
	r.send(known)
	first.Settled, first.Undecided = known.Quantity, first.Quantity.Add(second.Quantity)
	second.Settled, second.Undecided = first.Settled, first.Undecided
	ask := func(want Outcome) {
		t.Helper()
		for _, got := range r.sender.Reconcile(context.Background(), []Line{first, second}) {
			if got.Outcome != want || got.Permanent {
				t.Errorf("%+v, want %s", got, want)
			}
		}
	}
	ask(Refused) // neither is there
	r.send(first)
	ask(Unknown) // one of them is, and which is not told
	r.send(second)
	ask(Settled)
	r.sim.Next(simulator.Azure, simulator.FaultError, simulator.FaultError)
	ask(Unknown)
}

func TestQuantitiesOfTheWrongForm(t *testing.T) {
	t.Parallel()
	aws, gcp := newRig(t, simulator.AWS), newRig(t, simulator.GCP)
	for _, q := range []string{"0.5", "2147483648", "-1"} {
		if got := aws.send(aws.line("c", q), aws.line("d"+q, "2147483647")); got[0].Outcome != Refused || got[1].Outcome != Settled {
			t.Errorf("AWS %s: %+v", q, got)
		}
	}
	if got := aws.send(aws.line("zero", "0"))[0]; got.Outcome != Settled {
		t.Errorf("a heartbeat: %+v", got)
	}
	if got := gcp.send(gcp.line("c", "0.5"))[0]; got.Outcome != Refused {
		t.Errorf("GCP INT64: %+v", got)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 50 { // each digit arrives, up to the largest that is sent
		text := fmt.Sprintf("%d.%06d", 8589934590-i%2*r.IntN(8589934590), 1+r.IntN(999_999))
		double := gcp.line(fmt.Sprint("d", i), strings.TrimRight(text, "0"))
		double.GCP.Type = GCPDouble
		if got := gcp.send(double)[0]; got.Outcome != Settled || gcp.sim.Total(double.GCP.ConsumerID, "gb").Cmp(double.Quantity) != 0 {
			t.Errorf("GCP DOUBLE %s: %s, stored %s", double.Quantity, got.Outcome, gcp.sim.Total(double.GCP.ConsumerID, "gb"))
		}
	}
	aws.clean(t)
	gcp.clean(t)
}

// TestNobodyListens: what never left this process was not stored.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	gcp, err := NewGCP(url, nil, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	for cloud, s := range map[string]Sender{
		simulator.AWS:   NewAWS(AWSOptions{Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Endpoint: url}),
		simulator.Azure: NewAzure(url, func(context.Context, bool) (string, error) { return "token", nil }, http.DefaultClient),
		simulator.GCP:   gcp,
	} {
		if got := s.Send(context.Background(), []Line{(&rig{cloud: cloud}).line("c", "1")})[0]; got.Outcome != Unknown || !got.NotStored {
			t.Errorf("%s: %+v", cloud, got)
		}
	}
}
