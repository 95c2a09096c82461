package metering

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/meter"
)

// customersBook keeps whose month was closed, and does something of each.
type customersBook struct {
	before func(ctx context.Context, c Closing) error
}

func (customersBook) Surface() string { return "customers" }

func (b customersBook) Figures(ctx context.Context, c Closing) (any, error) {
	return c.Customer, b.before(ctx, c)
}

// closingWorld has many customers.
func closingWorld(t *testing.T, customers int, before func(ctx context.Context, c Closing) error) *periodWorld {
	t.Helper()
	w := newPeriodWorld(t)
	w.KeepBooks(customersBook{before})
	var text strings.Builder
	text.WriteString("customers:\n")
	for i := range customers {
		fmt.Fprintf(&text, "  - id: c%04d\n", i)
	}
	if _, err := w.Apply(context.Background(), admin, []byte(text.String()), ApplyOptions{Prune: true}); err != nil {
		t.Fatal(err)
	}
	return w
}

// waitFor waits until something that goroutines bring about has happened.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Minute) // for what hangs only
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen within half an hour")
		}
	}
}

// ended waits for a job to end.
func ended(t testing.TB, s *Service, p access.Principal, job catalog.CloseJob) catalog.CloseJob {
	t.Helper()
	waitFor(t, func() bool {
		var err error
		if job, err = s.CloseJob(context.Background(), p, strconv.FormatInt(job.ID, 10)); err != nil {
			t.Fatal(err)
		}
		return !job.Ended.IsZero()
	})
	return job
}

// closeMonth closes a month of all customers and returns the job as it ended.
func closeMonth(t testing.TB, s *Service, p access.Principal, month string) catalog.CloseJob {
	t.Helper()
	job, err := s.CloseMonth(context.Background(), p, month)
	if err != nil {
		t.Fatal(err)
	}
	return ended(t, s, p, job)
}

// A customer whose month cannot be closed keeps no other's open. The next
// closing goes on with what is left. Those of one closing are as of one sequence.
func TestCloseMonthGoesOn(t *testing.T) {
	t.Parallel()
	const customers, fails = 2*closedAtOnce + 50, closedAtOnce + 20
	name := func(i int) string { return fmt.Sprintf("c%04d", i) }
	broken := meter.Errorf(meter.KindCorrupt, "no ink")
	w := closingWorld(t, customers, func(_ context.Context, c Closing) error {
		if c.Customer == name(fails) && broken != nil {
			return broken
		}
		return nil
	})
	ctx := context.Background()
	job := closeMonth(t, w.Service, admin, "2026-01")
	if job.Status() != catalog.CloseJobFailed || job.ID != 1 || job.Customers != customers || job.Closed != customers-1 || job.Failed != 1 || job.Error != `customer "c0276": no ink` || job.Actor != admin.Actor() {
		t.Errorf("%+v", job)
	}
	if n := w.Stats().PeriodsClosed; n != customers-1 || w.closed(t, name(fails-1)) != "2026-01" || w.closed(t, name(fails)) != "" || w.closed(t, name(fails+1)) != "2026-01" {
		t.Errorf("%d are closed", n)
	}
	for i := range customers {
		p, closed, err := w.Period(ctx, admin, name(i), "2026-01")
		if err != nil || closed == (i == fails) || closed && (p.Sequence != job.Sequence || !strings.Contains(string(p.Figures), name(i))) {
			t.Fatalf("%s: %v, %v, %+v", name(i), closed, err, p)
		}
	}
	broken = nil
	if job := closeMonth(t, w.Service, admin, "2026-01"); job.Status() != catalog.CloseJobDone || job.ID != 2 || job.Customers != 1 || job.Closed != 1 {
		t.Errorf("%+v", job)
	}
	if job := closeMonth(t, w.Service, admin, "2026-01"); job.Status() != catalog.CloseJobDone || job.Customers != 0 {
		t.Errorf("%+v", job)
	}
	page, err := w.CloseJobs(ctx, admin, catalog.Page{Limit: 2})
	if err != nil || len(page.Items) != 2 || page.Items[0].ID != 3 || page.Next != "2" {
		t.Errorf("%+v, %v", page, err)
	}
	for _, bad := range []string{"2026-03", "2026-13", ""} {
		if _, err := w.CloseMonth(ctx, admin, bad); meter.KindOf(err) != meter.KindInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	bound := access.Principal{Organization: "default", KeyID: "b", Role: access.RoleRead, Customer: "c0001"}
	if _, err := w.CloseJob(ctx, bound, "1"); meter.KindOf(err) != meter.KindForbidden {
		t.Error(err)
	}
	for _, id := range []string{"0", "4", "01", "x", ""} {
		if _, err := w.CloseJob(ctx, admin, id); meter.KindOf(err) != meter.KindNotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// While an organization closes its months, another one closes its own, and
// what else is asked of either does not wait. Another month waits for its turn,
// and the same month is not closed by two jobs.
func TestClosingsOfOthers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	inside, leave := make(chan struct{}), make(chan struct{})
	w := closingWorld(t, 3, func(_ context.Context, c Closing) error {
		if c.Asks.Organization == "default" && c.Customer == "c0001" && c.Month.Name == "2026-01" {
			close(inside)
			<-leave
		}
		return nil
	})
	if _, err := w.catalog.CreateOrganization(ctx, catalog.NewOrganization{ID: "other"}, "test"); err != nil {
		t.Fatal(err)
	}
	other := access.Principal{Organization: "other", KeyID: "test", Role: access.RoleAdmin}
	const document = "meters: [{key: hits, event_type: e, aggregation: COUNT}]\ncustomers: [{id: acme}, {id: beta}]"
	if _, err := w.Apply(ctx, other, []byte(document), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	first, err := w.CloseMonth(ctx, admin, "2026-01")
	if err != nil {
		t.Fatal(err)
	}
	<-inside
	if job := closeMonth(t, w.Service, other, "2026-01"); job.Closed != 2 || job.ID != 1 {
		t.Errorf("%+v", job)
	}
	if _, err := w.Apply(ctx, admin, []byte("customers: [{id: late}]"), ApplyOptions{}); err != nil {
		t.Error(err)
	}
	if _, _, err := w.Period(ctx, admin, "c0000", "2026-01"); err != nil {
		t.Error(err)
	}
	if same, err := w.CloseMonth(ctx, admin, "2026-01"); err != nil || same.ID != first.ID || same.Status() != catalog.CloseJobRunning || same.Customers != 3 {
		t.Errorf("%+v, %v", same, err)
	}
	next, err := w.CloseMonth(ctx, admin, "2026-02")
	if err != nil || next.ID != 2 || next.Status() != catalog.CloseJobWaiting {
		t.Errorf("%+v, %v", next, err)
	}
	if s := w.Stats(); s.CloseJobs != 1 || s.CloseJobsLeft != 3 {
		t.Errorf("%d run, %d customers are left", s.CloseJobs, s.CloseJobsLeft)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.ClosePeriod(short, admin, "c0002", "2026-01"); meter.KindOf(err) != meter.KindUnavailable {
		t.Errorf("the organization's other closing did not wait: %v", err)
	}
	close(leave)
	if job := ended(t, w.Service, admin, first); job.Status() != catalog.CloseJobDone || job.Closed != 3 {
		t.Errorf("%+v", job)
	}
	if job := ended(t, w.Service, admin, next); job.Status() != catalog.CloseJobDone || job.Closed != 4 {
		t.Errorf("%+v", job)
	}
	waitFor(t, func() bool { s := w.Stats(); return s.CloseJobs == 0 && s.CloseJobsLeft == 0 })
}

// A job that was broken off goes on after the next start: what is closed is not
// closed again, and what is left has the figures that it would have had.
func TestCloseMonthResumes(t *testing.T) {
	t.Parallel()
	const customers, at = 3*closedAtOnce + 10, 2*closedAtOnce + 5
	ctx := context.Background()
	stores := openStoresAt(t, func() time.Time { return time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC) })
	hit := func(s *Service, n int) {
		t.Helper()
		var events []string
		for i := range customers {
			events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"%d-%d","source":"s","type":"e","subject":"c%04d","time":"2026-01-15T00:00:00Z"}`, n, i, i))
		}
		if _, err := s.Ingest(ctx, admin, []byte("["+strings.Join(events, ",")+"]"), cloudevents.Batch, false); err != nil {
			t.Fatal(err)
		}
	}
	inside, closed := make(chan struct{}), map[string]int{}
	start := func(stop bool) *Service {
		s := stores.service(t, Limits{})
		s.KeepBooks(&hitsBook{service: s}, customersBook{func(ctx context.Context, c Closing) error {
			if stop && c.Customer == fmt.Sprintf("c%04d", at) {
				close(inside)
				<-ctx.Done()
			}
			closed[c.Customer]++
			return nil
		}})
		if err := s.ResumeClosings(ctx); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start(true)
	var text strings.Builder
	text.WriteString("meters: [{key: hits, event_type: e, aggregation: COUNT}]\ncustomers:\n")
	for i := range customers {
		fmt.Fprintf(&text, "  - id: c%04d\n", i)
	}
	if _, err := s.Apply(ctx, admin, []byte(text.String()), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	hit(s, 1)
	job, err := s.CloseMonth(ctx, admin, "2026-01")
	if err != nil {
		t.Fatal(err)
	}
	<-inside
	waitFor(t, func() bool { // for what was made before
		now, err := s.CloseJob(ctx, admin, "1")
		return err != nil || now.Closed == 2*closedAtOnce
	})
	hit(s, 2) // comes after the sequence that the job has
	s.Close()
	if n := len(closed); n < 2*closedAtOnce || n > at+1 {
		t.Errorf("%d customers were done", n)
	}
	halfway, err := s.CloseJob(ctx, admin, "1")
	if err != nil || halfway.Status() != catalog.CloseJobRunning || halfway.Closed != 2*closedAtOnce {
		t.Fatalf("%+v, %v", halfway, err)
	}
	if _, err := s.CloseMonth(ctx, admin, "2026-01"); err != nil { // nobody carries it out any more
		t.Fatal(err)
	}
	s = start(false)
	defer s.Close()
	if job = ended(t, s, admin, job); job.Status() != catalog.CloseJobDone || job.Closed != customers || job.Customers != customers || job.Sequence != halfway.Sequence {
		t.Errorf("%+v", job)
	}
	for i := range customers {
		name := fmt.Sprintf("c%04d", i)
		p, done, err := s.Period(ctx, admin, name, "2026-01")
		if err != nil || !done || p.Sequence != job.Sequence || !strings.Contains(string(p.Figures), fmt.Sprintf(`"hits":"%d"`, customers)) || !strings.Contains(string(p.Figures), name) {
			t.Fatalf("%s: %v, %v, %s", name, done, err, p.Figures)
		}
	}
}
