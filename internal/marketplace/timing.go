package marketplace

import (
	"time"

	"odometer/internal/catalog"
)

// Timing says when the reporter does what. The zero value of a field is its default.
type Timing struct {
	CloseAfter time.Duration // an hour is closed so long after its end; 5 minutes
	Interval   time.Duration // between passes; 1 minute
	Lease      time.Duration // a line belongs to one sender; 5 minutes, longer than any call
	Backoff    time.Duration // before the second attempt; doubled for each, up to an hour; 1 minute
	AWSWindow  time.Duration // age from an hour's start at which sending ends; 23 h 30 min
}

func (t Timing) orDefault() Timing {
	for _, f := range []struct {
		have *time.Duration
		def  time.Duration
	}{{&t.CloseAfter, 5 * time.Minute}, {&t.Interval, time.Minute}, {&t.Lease, 5 * time.Minute}, {&t.Backoff, time.Minute}, {&t.AWSWindow, 23*time.Hour + 30*time.Minute}} {
		if *f.have <= 0 {
			*f.have = f.def
		}
	}
	return t
}

const (
	maxBackoff   = time.Hour
	setupRetry   = 5 * time.Minute // after a refusal that an operator has to end
	graceRetry   = time.Hour       // while a customer cannot be billed
	reconcileFor = 30 * time.Minute
	azureWindow  = 23*time.Hour + 30*time.Minute // age from the hour's start
	gcpWindow    = 4 * time.Hour                 // age from the hour's start: three hours after its end
	gcpGrace     = 30 * 24 * time.Hour
	awsMonthEnd  = 5*time.Hour + 30*time.Minute // after the month
	openLookback = 25 * time.Hour               // no hour older than that is open anywhere
	monthsRead   = 24                           // months of which late usage is read from a meter
)

// through is the end of the last hour that is closed at now.
func (t Timing) through(now time.Time) time.Time { return now.Add(-t.CloseAfter).Truncate(time.Hour) }

// deadline is when an hour can no longer be sent to a partner.
func (t Timing) deadline(partner string, hour time.Time) time.Time {
	switch partner {
	case catalog.PartnerAWS:
		end := hour.Add(t.AWSWindow)
		// Usage of a month is taken until 06:00 UTC on the first of the next.
		month := time.Date(hour.Year(), hour.Month()+1, 1, 0, 0, 0, 0, time.UTC).Add(awsMonthEnd)
		if month.Before(end) {
			return month
		}
		return end
	case catalog.PartnerGCP:
		return hour.Add(gcpWindow)
	}
	return hour.Add(azureWindow)
}

// alertAfter is the age of an hour from which its lines are told as late.
func alertAfter(partner string) time.Duration {
	switch partner {
	case catalog.PartnerAWS:
		return 5 * time.Hour
	case catalog.PartnerGCP:
		return time.Hour + 40*time.Minute
	}
	return 18 * time.Hour
}

// backoff is the wait after an attempt, the first being 1.
func (t Timing) backoff(attempts int) time.Duration {
	wait := t.Backoff
	for range min(attempts-1, 10) {
		wait *= 2
	}
	return min(wait, maxBackoff)
}
