// Package records is the room of usage that is reported against entitlements:
// usage record groups, their posting to the log, billable metrics, metering
// configurations, credit, and the reports that marketplaces get of them.
//
//	surface ─► Principal ─► right ─► store   accepts a group, its id counts once for ever
//	                              └► ledger  counts it, as events whose ids follow from the group's
package records

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/access"
	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/share"
)

// Store is where the room keeps what it has. The parts say who needs what of it.
type Store interface {
	GroupStore
	MetricStore
	AccountStore
	ReportStore
}

// GroupStore keeps usage record groups, and how much of them the ledger was told.
type GroupStore interface {
	CreateRecordGroups(ctx context.Context, organization string, groups []billing.RecordGroup, once billing.Idempotency) (made []billing.RecordGroup, repeated bool, err error)
	RecordGroups(ctx context.Context, organization string, f billing.RecordGroupFilter, offset, limit int) (billing.RecordGroupPage, error)
	NamedGroup(ctx context.Context, organization, customer, name string) (billing.RecordGroup, error)
	DeleteRecordGroup(ctx context.Context, organization, id, actor string) (billing.RecordGroup, error)
	RetryRecordGroup(ctx context.Context, organization, id, actor string) (billing.RecordGroup, error)
	MarkPosted(ctx context.Context, organization string, first, last int32, from, to billing.Posted) error
	UnpostedGroups(ctx context.Context, organization string, serial int32, limit int) ([]billing.OwnedGroup, error)
}

// MetricStore keeps which meters are billable metrics.
type MetricStore interface {
	CreateBillableMetric(ctx context.Context, organization string, m billing.BillableMetric) (billing.BillableMetric, error)
	BillableMetric(ctx context.Context, organization, id string) (billing.BillableMetric, error)
	BillableMetrics(ctx context.Context, organization string) ([]billing.BillableMetric, error)
	TouchBillableMetric(ctx context.Context, organization, id string) error
	DropBillableMetric(ctx context.Context, organization, id string) error
	MetricInUse(ctx context.Context, organization, id string) (bool, error)
}

// AccountStore keeps how usage is mapped to dimensions, and what was given beforehand.
type AccountStore interface {
	MeteringConfigs(ctx context.Context, organization string) ([]billing.MeteringConfig, error)
	PutMeteringConfigs(ctx context.Context, organization string, configs []billing.MeteringConfig, actor string) ([]billing.MeteringConfig, error)
	AddCredit(ctx context.Context, organization, entitlement string, amount meter.Decimal, once billing.Idempotency, actor string) (billing.Credit, error)
	Credits(ctx context.Context, organization, entitlement string, page catalog.Page) (billing.CreditPage, error)
}

// ReportStore tells of reports and of what is not reported.
type ReportStore interface {
	Reports(ctx context.Context, organization string, f billing.ReportFilter, offset, limit int) (billing.ReportPage, error)
	ReportDetails(ctx context.Context, organization string, reports []billing.Report) ([]billing.ReportDetail, error)
	Reporter(ctx context.Context, organization string) (billing.ReporterState, error)
	StuckLines(ctx context.Context, organization string, limit int) ([]billing.StuckLine, error)
	WaitingGroups(ctx context.Context, organization string, before time.Time) ([]billing.Waiting, error)
	ResolvePortion(ctx context.Context, organization, report, dimension, to, actor string) error
}

// Catalog is where organizations and their entitlements are.
type Catalog interface {
	Organizations(ctx context.Context, page catalog.Page) (catalog.OrganizationPage, error)
	// ViewOf returns entitlements and products, and what else is wanted.
	ViewOf(ctx context.Context, organization string, want catalog.Want) (*catalog.View, error)
	// Refused says why an organization may not report an entitlement; nil if it may.
	Refused(ctx context.Context, organization string, e *catalog.Entitlement) (refused, err error)
}

// Meters are the meters of organizations, some of which are billable metrics.
// Who changes them checks the principal's rights himself.
type Meters interface {
	// SeenMeters says which meters the principal may know of.
	SeenMeters(ctx context.Context, p access.Principal) (func(meter.Meter) bool, error)
	// ChangeMeters waits for the organization's turn to change meters, which
	// the next two need; done gives it back.
	ChangeMeters(ctx context.Context, organization string) (done func(), err error)
	DefineMeter(ctx context.Context, p access.Principal, m meter.Meter) (state meter.MeterState, created bool, err error)
	AmendMeter(ctx context.Context, p access.Principal, key string, patch meter.MeterPatch) (meter.MeterState, error)
}

// Limits bounds what the room takes. The zero value of a field means its default.
type Limits struct {
	Events cloudevents.Limits // of what is posted, when it is reported

	// BillableMetrics are those of an organization, deleted ones too; 0 = the
	// default. A key whose role is report may make the first half of them, so
	// that it leaves room for an admin's.
	BillableMetrics int
}

// defaultBillableMetrics is named in docs/operations.md.
const defaultBillableMetrics = 500

// Options holds what a Service is made of. All but Logger and Limits are required.
type Options struct {
	Ledger  *ledger.Ledger
	Store   Store
	Catalog Catalog
	Meters  Meters
	Reads   *share.Reads // the places of all queries: lists of groups and reports take theirs among them
	Clock   func() time.Time
	Logger  *slog.Logger // nil = silent
	Limits  Limits
}

// Service answers the surfaces by which usage is reported. Its methods may be
// called from many goroutines.
type Service struct {
	ledger  *ledger.Ledger
	catalog Catalog
	meters  Meters
	reads   *share.Reads
	now     func() time.Time
	logger  *slog.Logger
	limits  Limits

	groups   GroupStore
	metrics  MetricStore
	accounts AccountStore
	reports  ReportStore
	reporter Reporter // nil = none

	unposted atomic.Int64 // groups that PostPending could not post

	postedMu sync.Mutex    // over a write of the store where the list is full; nothing else is taken under it
	posted   []postedRange // see notePosted
}

// New makes the room.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Limits.BillableMetrics == 0 {
		o.Limits.BillableMetrics = defaultBillableMetrics
	}
	return &Service{ledger: o.Ledger, catalog: o.Catalog, meters: o.Meters, reads: o.Reads, now: o.Clock, logger: o.Logger, limits: o.Limits,
		groups: o.Store, metrics: o.Store, accounts: o.Store, reports: o.Store}
}

// Unposted is how many groups the ledger refused when it was last tried.
func (s *Service) Unposted() int64 { return s.unposted.Load() }

// turn waits for a place among the reads at work; the turn's Done gives it back.
func (s *Service) turn(ctx context.Context, p access.Principal) (context.Context, *share.ReadTurn, error) {
	return s.reads.Turn(ctx, share.Who{Organization: p.Organization, Key: p.Actor()})
}
