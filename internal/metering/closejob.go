package metering

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/access"
	"odometer/internal/background"
	"odometer/internal/books"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// A month is closed for all customers by a job, which is stored:
//
//	CloseMonth ─► row, waiting ─► turn to close ─► sequence pinned ─► 256 customers, one transaction ─┐
//	                                 ▲                                  ▲                               │
//	ResumeClosings, after a start ───┘                                  └── those left ─────────────────┘
//
// One goroutine carries out the jobs of one organization, in their order. The
// turn is held from where the sequence is pinned to the end of the job, and
// taken again before the first request after a crash: no closing comes between
// that would count on another sequence.

// closeJobs are the jobs under way.
type closeJobs struct {
	background.Jobs
	mu sync.Mutex      // taken for a moment only
	of map[string]bool // organizations whose jobs are carried out; whether one has come since that was looked for

	running, left atomic.Int64 // jobs, and customers that they have to do
}

// closeRetry is how long a job rests that something keeps from going on.
const closeRetry = 10 * time.Second

// CloseMonth begins to close a calendar month for all customers for whom it is
// open, and returns the job; the one under way for the month, if there is one.
// All figures are as of one sequence of the log. What is closed stays so
// whatever comes after.
func (s *Service) CloseMonth(ctx context.Context, p access.Principal, month string) (catalog.CloseJob, error) {
	if err := p.May(access.ActionManage); err != nil {
		return catalog.CloseJob{}, err
	}
	if _, err := s.endedMonth(month); err != nil {
		return catalog.CloseJob{}, err
	}
	job, err := s.catalog.CreateCloseJob(ctx, p.Organization, month, p.Actor())
	if err != nil {
		return catalog.CloseJob{}, err
	}
	s.carryOut(ctx, p.Organization, nil)
	return s.placedJob(p, job), nil
}

// CloseJob returns a job that closes a month for all customers.
func (s *Service) CloseJob(ctx context.Context, p access.Principal, id string) (catalog.CloseJob, error) {
	if err := mayWatch(p); err != nil {
		return catalog.CloseJob{}, err
	}
	n, ok := catalog.ParseCloseJobID(id)
	if !ok {
		return catalog.CloseJob{}, meter.Errorf(meter.KindNotFound, "no closing %.64q", id)
	}
	job, err := s.catalog.CloseJob(ctx, p.Organization, n)
	return s.placedJob(p, job), err
}

// CloseJobs lists them, the newest first.
func (s *Service) CloseJobs(ctx context.Context, p access.Principal, page catalog.Page) (catalog.CloseJobPage, error) {
	if err := mayWatch(p); err != nil {
		return catalog.CloseJobPage{}, err
	}
	list, err := s.catalog.CloseJobs(ctx, p.Organization, page)
	for i := range list.Items {
		list.Items[i] = s.placedJob(p, list.Items[i])
	}
	return list, err
}

// mayWatch checks the right to see jobs, which tell of all customers.
func mayWatch(p access.Principal) error {
	if err := p.May(access.ActionRead); err != nil {
		return err
	}
	if p.Customer != "" {
		return meter.Errorf(meter.KindForbidden, "this key may not do that: it is bound to a customer")
	}
	return nil
}

func (s *Service) placedJob(p access.Principal, job catalog.CloseJob) catalog.CloseJob {
	job.Sequence = s.placed(p, job.Sequence)
	return job
}

// ResumeClosings goes on with the jobs that a crash or a stop broke off. It
// must be called before requests are served, after KeepBooks.
func (s *Service) ResumeClosings(ctx context.Context) error {
	open, err := s.catalog.OpenCloseJobs(ctx)
	if err != nil {
		return err
	}
	for i, job := range open {
		if i > 0 && open[i-1].Organization == job.Organization {
			continue
		}
		turn, err := s.closing.Take(ctx, job.Organization)
		if err != nil {
			return err
		}
		s.carryOut(ctx, job.Organization, turn)
	}
	return nil
}

// Close ends what goes on beyond calls; jobs go on after the next start. No
// call may follow but for Close, which then does nothing.
func (s *Service) Close() { s.jobs.Stop() }

// carryOut has the jobs of an organization carried out; turn is the
// organization's, if it was taken.
func (s *Service) carryOut(ctx context.Context, organization string, turn func()) {
	s.jobs.mu.Lock()
	_, busy := s.jobs.of[organization]
	if s.jobs.of == nil {
		s.jobs.of = map[string]bool{}
	}
	s.jobs.of[organization] = true
	s.jobs.mu.Unlock()
	if busy {
		return
	}
	if !s.jobs.Start(ctx, func(ctx context.Context) { s.closeJobsOf(ctx, organization, turn) }) && turn != nil {
		turn()
	}
}

// moreJobs says whether to look for jobs once more; if not, the next one is
// carried out by another goroutine.
func (s *Service) moreJobs(organization string) bool {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	more := s.jobs.of[organization]
	if s.jobs.of[organization] = false; !more {
		delete(s.jobs.of, organization)
	}
	return more
}

// closeJobsOf carries out an organization's jobs until there are none.
func (s *Service) closeJobsOf(ctx context.Context, organization string, turn func()) {
	for ctx.Err() == nil && s.moreJobs(organization) {
		for ctx.Err() == nil {
			open, err := s.catalog.OpenCloseJobsOf(ctx, organization)
			if err == nil && len(open) == 0 {
				break
			}
			if err == nil && turn == nil {
				turn, err = s.closing.Take(ctx, organization)
			}
			if err == nil {
				err = s.runCloseJob(ctx, open[0])
				if err != nil && ctx.Err() == nil && !temporary(err) {
					s.logger.Error("a month was not closed for all customers", slog.String("organization", organization), slog.String("month", open[0].Month), slog.Any("error", err))
					err = s.failCloseJob(ctx, open[0], err)
				}
				if err == nil {
					turn()
					turn = nil
					continue
				}
			}
			if ctx.Err() == nil {
				s.logger.Warn("a month is not closed for all customers yet; it is tried again", slog.String("organization", organization), slog.Any("error", err))
				rest(ctx, closeRetry)
			}
		}
	}
	if turn != nil {
		turn()
	}
}

// failCloseJob ends a job that something keeps from going on for good.
func (s *Service) failCloseJob(ctx context.Context, job catalog.CloseJob, because error) error {
	s.periodFailures.Add(1)
	job, err := s.catalog.CloseJob(ctx, job.Organization, job.ID)
	if err != nil {
		return err
	}
	job.Failed, job.Error = max(0, job.Customers-job.Closed), toldOf(because)
	_, err = s.catalog.EndCloseJob(ctx, job)
	return err
}

// rest waits, or until ctx is done.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// runCloseJob carries out a job, or what is left of it. An error says that it
// has not ended, and is to be gone on with later.
func (s *Service) runCloseJob(ctx context.Context, job catalog.CloseJob) error {
	in, ok := meter.ParseMonth(job.Month)
	if !ok {
		return meter.Errorf(meter.KindCorrupt, "a job closes a month that is called %q", job.Month)
	}
	view, err := s.catalog.ViewOf(ctx, job.Organization, catalog.Want{})
	if err != nil {
		return err
	}
	open, err := s.openCustomers(ctx, job.Organization, view, job.Month)
	if err != nil {
		return err
	}
	job.Customers = job.Closed + len(open)
	last := s.lastSequence()
	if job.Sequence > last {
		return meter.Errorf(meter.KindCorrupt, "the job's figures are as of a place that the log has not: it was restored from an older copy than the catalog")
	}
	if job.Begun.IsZero() {
		job.Sequence = last
		if job, err = s.catalog.BeginCloseJob(ctx, job); err != nil {
			return err
		}
	}
	left := int64(len(open))
	s.jobs.running.Add(1)
	s.jobs.left.Add(left)
	defer func() {
		s.jobs.running.Add(-1)
		s.jobs.left.Add(-left)
	}()
	job.Failed, job.Error = 0, ""
	r := &closeRun{s: s, asks: access.Job(job.Organization, "periods"), view: view, job: &job,
		month: books.Month{Period: in, Name: job.Month, Sequence: job.Sequence},
		done: func(customer string, _ catalog.Period, err error) error {
			left--
			s.jobs.left.Add(-1)
			switch {
			case err == nil || meter.KindOf(err) == meter.KindConflict: // it was closed by somebody else
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			case temporary(err):
				return err
			}
			if job.Failed++; job.Error == "" {
				job.Error = fmt.Sprintf("customer %.64q: %s", customer, toldOf(err))
			}
			s.periodFailures.Add(1)
			s.logger.Error("a month was not closed", slog.String("organization", job.Organization), slog.String("customer", customer),
				slog.String("month", job.Month), slog.Any("error", err))
			return nil
		}}
	if err := r.run(ctx, open); err != nil {
		return err
	}
	_, err = s.catalog.EndCloseJob(ctx, job)
	return err
}

// openCustomers are those for whom a month is open, in order.
func (s *Service) openCustomers(ctx context.Context, organization string, view *catalog.View, month string) ([]string, error) {
	closed, err := s.catalog.CustomersClosed(ctx, organization, month)
	if err != nil {
		return nil, err
	}
	customers, err := s.customersOf(ctx, organization, view)
	return slices.DeleteFunc(customers, func(id string) bool {
		_, done := slices.BinarySearch(closed, id)
		return done
	}), err
}

// temporary says whether an error may be gone later.
func temporary(err error) bool {
	switch meter.KindOf(err) {
	case meter.KindOverloaded, meter.KindUnavailable, meter.KindStorageFull:
		return true
	}
	return false
}

// toldOf is an error as the organization is told it.
func toldOf(err error) string {
	if meter.KindOf(err) == meter.KindInternal {
		return "internal error: the server's log says more"
	}
	return meter.MessageOf(err)
}
