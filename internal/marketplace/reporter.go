// Package marketplace reports usage to the AWS, Azure and GCP marketplaces
// every hour, so that nothing is billed twice and nothing is lost.
//
//	unreported groups, meters ──freeze──► report, portions, lines     one transaction, before anything is sent
//	lines due ──lease (fence)──► sender ──► settled │ refused │ unknown
//	                                          └─ booked with balances and groups in one transaction
//
// A frozen line never changes: whatever happens to an attempt, it is sent
// again under the same key with the same quantity, which each marketplace
// takes as the same. What is not certain stays unknown until the marketplace
// gives a definite answer, or, when its window has closed, waits for a person.
package marketplace

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/marketplace/sender"
	"odometer/internal/meter"
)

// UsageReader answers what meters have counted; *metering.Service does.
type UsageReader interface {
	Usage(ctx context.Context, p access.Principal, q meter.UsageQuery) (*meter.Usage, error)
	MeterOf(organization, key string) (meter.Meter, bool)
}

// Entries tells which organizations there are, and of the entries of their
// catalogs; *metering.Service does.
type Entries interface {
	Organizations(ctx context.Context, p access.Principal, page catalog.Page) (catalog.OrganizationPage, error)
	Catalog(ctx context.Context, p access.Principal, want catalog.Want) (*catalog.View, error)
}

// Records tells how what was reported is billed; *records.Service does.
type Records interface {
	MeteringConfigs(ctx context.Context, p access.Principal) ([]billing.MeteringConfig, error)
	MetricDefinitions(ctx context.Context, p access.Principal) (map[string]meter.Meter, error)
}

// Accounts says who may bill whom: an account at a marketplace is one
// organization's, and a listing those that an operator lets report it.
type Accounts interface {
	TakeAccounts(ctx context.Context, organization string, entitlements []*catalog.Entitlement) (refused map[string]error, err error)
	MayReport(ctx context.Context, organization, partner, listing string) (bool, error)
}

// Store is where reports are kept. The parts say who needs what of it.
type Store interface {
	FreezeStore
	LineStore
	ReportStore
}

// FreezeStore keeps what no report has claimed, and freezes it.
type FreezeStore interface {
	WaitingGroups(ctx context.Context, organization string, before time.Time) ([]billing.Waiting, error)
	Carried(ctx context.Context, organization string) ([]billing.Carried, error)
	MeterReads(ctx context.Context, organization, entitlement string) (map[string]billing.MeterRead, error)
	// Freeze stores what decide makes of the state, in one transaction.
	Freeze(ctx context.Context, organization string, q billing.FreezeQuery, decide func(*billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error)) error
}

// LineStore leases frozen lines and books what became of them.
type LineStore interface {
	LeaseLines(ctx context.Context, owner string, now, until time.Time, limit int, want func(*billing.Line) bool) ([]billing.Line, error)
	DecideLines(ctx context.Context, decisions []billing.Decision) (booked int, err error)
	LinesOfDay(ctx context.Context, l billing.Line) ([]billing.Line, error)
	HastenLines(ctx context.Context, organization, account string, hour, now time.Time) error
	DoubtLines(ctx context.Context, organization string, now time.Time) error
	LineCounts(ctx context.Context) ([]billing.LineCount, error)
}

// ReportStore keeps reports, and whether an organization's reporter works.
type ReportStore interface {
	ReportsOf(ctx context.Context, organization, account string, hour time.Time) ([]billing.Report, error)
	ReportDetails(ctx context.Context, organization string, reports []billing.Report) ([]billing.ReportDetail, error)
	Reporter(ctx context.Context, organization string) (billing.ReporterState, error)
	ReporterStandings(ctx context.Context, before time.Time) ([]billing.ReporterStanding, error)
	SetReporter(ctx context.Context, organization string, state billing.ReporterState, actor string) error
}

// Options say what a Reporter is made of. Senders, Logger, Timing and Fault may be left out.
type Options struct {
	Usage    UsageReader
	Entries  Entries
	Records  Records
	Accounts Accounts
	Store    Store
	Senders  map[string]sender.Sender // by partner; the lines of others wait
	Clock    func() time.Time
	Logger   *slog.Logger // nil = silent
	Owner    string       // names this process among those that lease lines
	Timing   Timing       // fields that are zero take their default
	// Fault is called at the points of faultPoints; tests end the process there.
	Fault func(point string)
}

// The points at which a test may end the process.
const (
	faultBeforeFreeze = "before-freeze" // all is decided, nothing is stored
	faultBeforeSend   = "before-send"   // frozen and leased, nothing has left
	faultAfterSend    = "after-send"    // answered, nothing is booked
	faultAfterBook    = "after-book"
)

// faultPoints are all of them.
var faultPoints = []string{faultBeforeFreeze, faultBeforeSend, faultAfterSend, faultAfterBook}

// Limits of one pass.
const (
	freezeBatch = 50   // accounts frozen in one transaction
	leaseBatch  = 1000 // lines leased in one transaction
	sendBatch   = sender.MaxBatch
	sendWorkers = 4 // batches on their way at once
	freezeTries = 3 // after a group was deleted meanwhile
)

// Reporter closes hours, freezes what is to be billed, and sends it. Several
// reporters may work on one catalog: leases keep them apart, and what two of
// them send is the same.
type Reporter struct {
	o       Options
	frozen  FreezeStore
	lines   LineStore
	reports ReportStore
	timing  Timing
	logger  *slog.Logger
	counts  counters
	passing chan struct{}        // holds one while a pass is at work
	most    int                  // groups of an entitlement in one freeze; 0 = records.MaxGroupsPerReport
	settled settlements          // organizations of which lines were settled since what they carry was looked at
	read    map[string]time.Time // by organization: hours up to here were read from meters and frozen
}

// New returns a reporter that does nothing until it is stepped.
func New(o Options) *Reporter {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if o.Fault == nil {
		o.Fault = func(string) {}
	}
	return &Reporter{o: o, frozen: o.Store, lines: o.Store, reports: o.Store, timing: o.Timing.orDefault(), logger: logger, passing: make(chan struct{}, 1), read: map[string]time.Time{}}
}

// RunOnce makes one pass over all organizations as of now: hours that have
// closed are frozen, lines that are due are sent. An organization that fails
// does not keep the others; their errors are joined.
func (r *Reporter) RunOnce(ctx context.Context, now time.Time) error {
	done, err := r.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	organizations, err := r.organizations(ctx)
	if err != nil {
		return err
	}
	return r.pass(ctx, organizations, now)
}

// turn waits until no other pass is at work; who came first is first. The
// caller ends the turn by calling done.
func (r *Reporter) turn(ctx context.Context) (done func(), err error) {
	select {
	case r.passing <- struct{}{}:
		return func() { <-r.passing }, nil
	case <-ctx.Done():
		return nil, meter.WrapError(meter.KindUnavailable, ctx.Err(), "the reporter is at work on other organizations")
	}
}

// pass freezes and sends for some organizations.
func (r *Reporter) pass(ctx context.Context, organizations []string, now time.Time) error {
	var failed []error
	works := map[string]bool{}
	for _, id := range organizations {
		state, err := r.reports.Reporter(ctx, id)
		switch {
		case err != nil:
			failed = append(failed, err)
			continue
		case state.Paused:
			continue
		}
		works[id] = true
		if err := r.freeze(ctx, id, state, now); err != nil {
			failed = append(failed, err)
		}
	}
	failed = append(failed, r.send(ctx, func(l *billing.Line) bool { return works[l.Organization] }))
	r.counts.passes.Add(1)
	if err := errors.Join(failed...); err != nil {
		r.counts.failures.Add(1)
		return err
	}
	return nil
}

// reader is who reads an organization for the reporter.
func reader(organization string) access.Principal { return access.Job(organization, "reporter") }

func (r *Reporter) organizations(ctx context.Context) ([]string, error) {
	var ids []string
	all := reader(catalog.DefaultOrganization)
	all.Operator = true
	page := catalog.Page{}
	for {
		got, err := r.o.Entries.Organizations(ctx, all, page)
		if err != nil {
			return nil, err
		}
		for _, o := range got.Items {
			ids = append(ids, o.ID)
		}
		if got.Next == "" {
			return ids, nil
		}
		page.Cursor = got.Next
	}
}

// Reconcile lets an organization's reporter work again after its catalog
// was restored. What the catalog holds as frozen may have been decided
// after the backup, so all of it is taken as perhaps accepted and sent again
// as it was: the marketplaces answer what they have. Hours that ended before
// the restore and can no longer be sent are not moved to others: they wait for
// a person. It makes a pass over this organization alone, in turn with others;
// if ctx ends before, the reporter's next pass does it.
func (r *Reporter) Reconcile(ctx context.Context, organization, actor string) error {
	now := r.o.Clock()
	state, err := r.reports.Reporter(ctx, organization)
	if err != nil {
		return err
	}
	whole := context.WithoutCancel(ctx) // who has begun does not stop half way
	if err := r.lines.DoubtLines(whole, organization, now); err != nil {
		return err
	}
	state.Paused, state.Reason = false, "reconciled by "+actor
	if err := r.reports.SetReporter(whole, organization, state, actor); err != nil {
		return err
	}
	done, err := r.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return r.pass(ctx, []string{organization}, r.o.Clock())
}
