package catalog

import (
	"strconv"
	"time"

	"odometer/internal/meter"
)

// CloseJob closes a month for all customers for whom it is open, one after
// another. It is stored, so that it goes on where a crash broke it off.
type CloseJob struct {
	Organization string
	ID           int64 // 1, 2, 3, ... within the organization
	Month        string
	Actor        string // who asked for it
	Created      time.Time

	Begun    time.Time // zero while it waits for closings before it
	Sequence uint64    // of the log, as of which all figures are; 0 before it has begun
	Ended    time.Time // zero until all is done that it can do

	Customers int    // whose month was open when it began
	Closed    int    // of them, by this job
	Failed    int    // of them, that could not be closed
	Error     string // why the first of those was not
}

// The bounds of an organization's jobs.
const (
	MaxOpenCloseJobs = 24    // that have not ended
	MaxCloseJobs     = 1_000 // that are remembered; those before them are forgotten
)

// CloseJobStatus is how far a job is.
type CloseJobStatus string

// The statuses of a job.
const (
	CloseJobWaiting CloseJobStatus = "WAITING"
	CloseJobRunning CloseJobStatus = "RUNNING"
	CloseJobDone    CloseJobStatus = "DONE"
	CloseJobFailed  CloseJobStatus = "FAILED" // not every customer's month was closed
)

// Status is how far the job is.
func (j CloseJob) Status() CloseJobStatus {
	switch {
	case j.Begun.IsZero() && j.Ended.IsZero():
		return CloseJobWaiting
	case j.Ended.IsZero():
		return CloseJobRunning
	case j.Error != "":
		return CloseJobFailed
	}
	return CloseJobDone
}

// ParseCloseJobID reads the id of a job as it stands in a path.
func ParseCloseJobID(text string) (int64, bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && id > 0 && strconv.FormatInt(id, 10) == text
}

// CloseJobPage is a part of an organization's jobs, the newest first.
type CloseJobPage struct {
	Items []CloseJob
	Next  string // Page.Cursor of what follows; "" at the end
}

// Validate says what is wrong with a job that is to be created at an instant.
func (j CloseJob) Validate(at time.Time) error {
	month, err := time.Parse(PeriodLayout, j.Month)
	switch {
	case err != nil:
		return meter.Errorf(meter.KindInvalid, "%q is not a month such as 2026-01", meter.Clip(j.Month))
	case month.AddDate(0, 1, 0).After(at):
		return meter.Errorf(meter.KindInvalid, "month %s has not ended", j.Month)
	}
	return CheckActor(j.Actor)
}
