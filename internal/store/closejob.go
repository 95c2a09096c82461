package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// CreateCloseJob creates the job that closes a month for all customers, or
// returns the one that has not ended. Jobs that ended long ago are forgotten. An organization that has too many that have not is KindOverloaded.
func (s *Store) CreateCloseJob(ctx context.Context, organization, month, actor string) (catalog.CloseJob, error) {
	job := catalog.CloseJob{Organization: organization, Month: month, Actor: actor, Created: s.Now()}
	if err := job.Validate(job.Created); err != nil {
		return catalog.CloseJob{}, err
	}
	err := s.Write(ctx, "create the job", func(tx *sql.Tx) error {
		open, err := List(ctx, tx, scanCloseJob, stmt.CloseJobsOpenOf, organization)
		if err != nil {
			return err
		}
		for _, o := range open {
			if o.Month == month {
				job = o
				return nil
			}
		}
		if len(open) >= catalog.MaxOpenCloseJobs {
			return meter.Errorf(meter.KindOverloaded, "%d months are being closed for all customers: an organization has at most %d such jobs at a time", len(open), catalog.MaxOpenCloseJobs)
		}
		if err := tx.QueryRowContext(ctx, stmt.CloseJobLast, organization).Scan(&job.ID); err != nil {
			return err
		}
		job.ID++
		if _, err := tx.ExecContext(ctx, stmt.CloseJobsForget, organization, job.ID-catalog.MaxCloseJobs); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, stmt.CloseJobCreate, organization, job.ID, month, actor, Micros(job.Created), int64(0))
		return err
	})
	if err != nil {
		return catalog.CloseJob{}, err
	}
	return job, nil
}

// BeginCloseJob notes as of which sequence of the log a job's figures are, and
// how many customers' month is open.
func (s *Store) BeginCloseJob(ctx context.Context, job catalog.CloseJob) (catalog.CloseJob, error) {
	job.Begun = s.Now()
	err := s.Write(ctx, "begin the job", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.CloseJobBegin, job.Organization, job.ID, int64(job.Sequence), Micros(job.Begun), job.Customers)
		return err
	})
	return job, err
}

// EndCloseJob notes that a job has done all that it can, and what failed.
func (s *Store) EndCloseJob(ctx context.Context, job catalog.CloseJob) (catalog.CloseJob, error) {
	job.Ended = s.Now()
	err := s.Write(ctx, "end the job", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.CloseJobEnd, job.Organization, job.ID, Micros(job.Ended), job.Customers, job.Failed, job.Error)
		return err
	})
	return job, err
}

// CloseJob returns a job of an organization.
func (s *Store) CloseJob(ctx context.Context, organization string, id int64) (catalog.CloseJob, error) {
	job, err := scanCloseJob(s.reader.QueryRowContext(ctx, stmt.CloseJobGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return catalog.CloseJob{}, meter.Errorf(meter.KindNotFound, "no closing %d", id)
	}
	if err != nil {
		return catalog.CloseJob{}, s.Fail(err, "cannot read the job")
	}
	return job, nil
}

// CloseJobs lists an organization's jobs, the newest first.
func (s *Store) CloseJobs(ctx context.Context, organization string, page catalog.Page) (catalog.CloseJobPage, error) {
	limit, err := page.Bound(s.limits.PageSize)
	if err != nil {
		return catalog.CloseJobPage{}, err
	}
	before := int64(math.MaxInt64)
	if page.Cursor != "" {
		var ok bool
		if before, ok = catalog.ParseCloseJobID(page.Cursor); !ok {
			return catalog.CloseJobPage{}, catalog.ErrCursor()
		}
	}
	items, err := List(ctx, s.reader, scanCloseJob, stmt.CloseJobList, organization, before, limit+1)
	if err != nil {
		return catalog.CloseJobPage{}, s.Fail(err, "cannot list jobs")
	}
	var out catalog.CloseJobPage
	out.Items, out.Next = catalog.Cut(items, limit, func(j catalog.CloseJob) string { return strconv.FormatInt(j.ID, 10) })
	return out, nil
}

// OpenCloseJobs returns the jobs of all organizations that have not ended, each
// organization's in their order.
func (s *Store) OpenCloseJobs(ctx context.Context) ([]catalog.CloseJob, error) {
	jobs, err := List(ctx, s.reader, scanCloseJob, stmt.CloseJobsOpen)
	if err != nil {
		return nil, s.Fail(err, "cannot list jobs")
	}
	return jobs, nil
}

// OpenCloseJobsOf does the same for one organization.
func (s *Store) OpenCloseJobsOf(ctx context.Context, organization string) ([]catalog.CloseJob, error) {
	jobs, err := List(ctx, s.reader, scanCloseJob, stmt.CloseJobsOpenOf, organization)
	if err != nil {
		return nil, s.Fail(err, "cannot list jobs")
	}
	return jobs, nil
}

func scanCloseJob(r Row) (catalog.CloseJob, error) {
	var j catalog.CloseJob
	var created, begun, ended sql.NullInt64
	var sequence int64
	err := r.Scan(&j.Organization, &j.ID, &j.Month, &j.Actor, &created, &sequence, &begun, &ended, &j.Customers, &j.Closed, &j.Failed, &j.Error)
	j.Created, j.Begun, j.Ended, j.Sequence = FromMicros(created), FromMicros(begun), FromMicros(ended), uint64(sequence)
	return j, err
}
