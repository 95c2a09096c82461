package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

var closeJobCases = []testCase{
	{"a job that closes a month is found again, also after a restart", closeJobStays},
	{"a month has one job at a time, also among concurrent requests, and an organization not too many", closeJobOnce},
	{"what a job closes and how far it is are kept together", closeJobProgress},
	{"jobs are listed in pages, the newest first, and the oldest are forgotten", closeJobPages},
}

func closeJobStays(b *bench) {
	b.sampled("a")
	b.organization("b")
	made, err := b.store.CreateCloseJob(b.ctx, "a", "2026-02", actor)
	b.must(err)
	if made.ID != 1 || made.Status() != catalog.CloseJobWaiting || !made.Created.Equal(b.clock.Now()) {
		b.Errorf("%+v", made)
	}
	b.clock.Advance(time.Minute)
	made.Sequence, made.Customers = 1<<40, 2
	made, err = b.store.BeginCloseJob(b.ctx, made)
	b.must(err)
	if made.Status() != catalog.CloseJobRunning || !made.Begun.Equal(b.clock.Now()) {
		b.Errorf("%+v", made)
	}
	_, err = b.store.CreateCloseJob(b.ctx, "b", "2026-01", actor)
	b.must(err)
	for range 2 {
		got, err := b.store.CloseJob(b.ctx, "a", 1)
		b.must(err)
		if got != made {
			b.Errorf("%+v, want %+v", got, made)
		}
		open, err := b.store.OpenCloseJobs(b.ctx)
		b.must(err)
		of, ofErr := b.store.OpenCloseJobsOf(b.ctx, "a")
		b.must(ofErr)
		if len(open) != 2 || open[0] != made || open[1].Organization != "b" || open[1].ID != 1 || len(of) != 1 || of[0] != made {
			b.Errorf("%+v, %+v", open, of)
		}
		b.reopen(b.limit)
	}
	b.clock.Advance(time.Minute)
	made.Failed, made.Error = 1, "no ink"
	made, err = b.store.EndCloseJob(b.ctx, made)
	b.must(err)
	if got, err := b.store.CloseJob(b.ctx, "a", 1); err != nil || got != made || got.Status() != catalog.CloseJobFailed || !got.Ended.Equal(b.clock.Now()) {
		b.Errorf("%+v, %v", got, err)
	}
	_, err = b.store.CloseJob(b.ctx, "a", 2)
	b.wantKind(err, meter.KindNotFound)
	_, err = b.store.CloseJob(b.ctx, "c", 1)
	b.wantKind(err, meter.KindNotFound)
	for month, by := range map[string]string{"2026-03": actor, "2026-13": actor, "": actor, "2026-01": ""} {
		_, err := b.store.CreateCloseJob(b.ctx, "a", month, by)
		b.wantKind(err, meter.KindInvalid)
	}
}

func closeJobOnce(b *bench) {
	b.sampled("a")
	var wg sync.WaitGroup
	made, errs := make([]catalog.CloseJob, 8), make([]error, 8)
	for i := range made {
		wg.Go(func() { made[i], errs[i] = b.store.CreateCloseJob(b.ctx, "a", "2026-02", actor) })
	}
	wg.Wait()
	for i := range made {
		if b.must(errs[i]); made[i] != made[0] {
			b.Errorf("%+v and %+v", made[i], made[0])
		}
	}
	for n := 1; n < catalog.MaxOpenCloseJobs; n++ {
		_, err := b.store.CreateCloseJob(b.ctx, "a", time.Date(2026, 2-time.Month(n), 1, 0, 0, 0, 0, time.UTC).Format(catalog.PeriodLayout), actor)
		b.must(err)
	}
	_, err := b.store.CreateCloseJob(b.ctx, "a", "2001-01", actor)
	b.wantKind(err, meter.KindOverloaded)
	_, err = b.store.CreateCloseJob(b.ctx, "a", "2026-02", actor)
	b.must(err)
	_, err = b.store.EndCloseJob(b.ctx, made[0])
	b.must(err)
	again, err := b.store.CreateCloseJob(b.ctx, "a", "2026-02", actor)
	b.must(err)
	if again.ID != catalog.MaxOpenCloseJobs+1 {
		b.Errorf("%+v", again)
	}
}

func closeJobProgress(b *bench) {
	b.sampled("a")
	job, err := b.store.CreateCloseJob(b.ctx, "a", "2026-02", "key:who")
	b.must(err)
	of := func(customers ...string) []catalog.Period {
		var out []catalog.Period
		for _, customer := range customers {
			out = append(out, catalog.Period{Customer: customer, Month: "2026-02", Sequence: 7, Figures: json.RawMessage(`{}`)})
		}
		return out
	}
	closed := func(want int) {
		b.Helper()
		customers, err := b.store.CustomersClosed(b.ctx, "a", "2026-02")
		b.must(err)
		got, err := b.store.CloseJob(b.ctx, "a", job.ID)
		b.must(err)
		if got.Closed != want || len(customers) != want {
			b.Errorf("%d and %d, want %d", got.Closed, len(customers), want)
		}
	}
	_, err = b.store.ClosePeriodsOf(b.ctx, job, of("beta", "x"))
	b.wantKind(err, meter.KindNotFound)
	closed(0)
	_, err = b.store.ClosePeriodsOf(b.ctx, job, of("beta"))
	b.must(err)
	closed(1)
	_, err = b.store.ClosePeriodsOf(b.ctx, job, of("acme", "beta"))
	b.wantKind(err, meter.KindConflict)
	closed(1)
	_, err = b.store.ClosePeriodsOf(b.ctx, job, of("acme"))
	b.must(err)
	closed(2)
	if entries := b.audit("a"); entries[len(entries)-1].Actor != "key:who" || entries[len(entries)-1].ID != "acme/2026-02" {
		b.Errorf("%+v", entries[len(entries)-1])
	}
}

func closeJobPages(b *bench) {
	b.organization("a")
	_, err := b.store.CreateCloseJob(b.ctx, "a", "2026-01", actor) // which never ends
	b.must(err)
	for range catalog.MaxCloseJobs + 1 {
		job, err := b.store.CreateCloseJob(b.ctx, "a", "2026-02", actor)
		b.must(err)
		_, err = b.store.EndCloseJob(b.ctx, job)
		b.must(err)
	}
	var seen []int64
	for page := (catalog.Page{Limit: 300}); ; {
		list, err := b.store.CloseJobs(b.ctx, "a", page)
		b.must(err)
		for _, j := range list.Items {
			seen = append(seen, j.ID)
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	last := len(seen) - 1
	if fmt.Sprint(seen[0], seen[last-1], seen[last]) != "1002 3 1" {
		b.Errorf("%d jobs, from %d to %d and %d", len(seen), seen[0], seen[last-1], seen[last])
	}
	for _, cursor := range []string{"x", "0", "-1", "01", "9999999999999999999"} {
		_, err := b.store.CloseJobs(b.ctx, "a", catalog.Page{Cursor: cursor})
		b.wantKind(err, meter.KindInvalid)
	}
}
