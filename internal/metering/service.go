// Package metering is the one funnel between the surfaces and the stores: who
// may do what, what it means, and in which order ledger and catalog change.
// No surface reads a store. What is reported against entitlements goes through
// the package records in the same way.
//
//	surface ─► principal ─► right ─► ledger (usage, meters)   the log decides
//	                              └► catalog (keys, organizations, copy of the meters, audit)
package metering

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"odometer/internal/access"
	"odometer/internal/cloudevents"
	"odometer/internal/ledger"
	"odometer/internal/meter"
	"odometer/internal/share"
	"odometer/internal/store"
	"odometer/internal/store/keys"
)

// Limits bounds what the service does at once. The zero value of a field means its default.
type Limits struct {
	Events      cloudevents.Limits // of requests with events
	Reads       int                // usage, event and lookup queries at work; shared by organization and key
	ReadWait    time.Duration      // a read waits for its turn before it is answered KindOverloaded
	QueryTime   time.Duration      // a request's queries, from its turn on
	GroupBy     int                // attributes a usage query may group by
	FilterTexts int                // values of all filters of a usage query
}

// DefaultLimits returns the defaults named in docs/operations.md.
func DefaultLimits() Limits {
	return Limits{Events: cloudevents.DefaultLimits(), Reads: 16, ReadWait: 10 * time.Second, QueryTime: 2 * time.Minute, GroupBy: 16, FilterTexts: 1000}
}

// Options holds what a Service is made of. Ledger, Catalog, Keys and Clock are required.
type Options struct {
	Ledger  *ledger.Ledger
	Catalog *store.Store
	Keys    *keys.Store // of Catalog
	Clock   func() time.Time
	Logger  *slog.Logger // nil = silent
	Limits  Limits
}

// Service answers every surface. Its methods may be called from many goroutines.
//
// What must be waited for is taken in this order, and only what is needed:
//
//	closing        an organization's turn, by who closes its months; the books read
//	documents      an organization's turn, and then a place in documentRoom
//	exports        an organization's turn, and then a place in exportRoom
//	reads          a place; a request may hold its own until it is answered
//	changes        an organization's turn; nothing is read through reads under it
//
// Those of kept and refused guard their own part only. The locks of the ledger
// and of the stores come after all of these: neither calls back.
type Service struct {
	ledger  *ledger.Ledger
	catalog *store.Store
	keys    *keys.Store
	now     func() time.Time
	logger  *slog.Logger
	limits  Limits

	reads   *share.Reads
	known   sync.Map // ids of organizations that exist; they are never removed
	books   []Book
	owner   MeterOwner  // of meters that stand for something else
	closing share.Turns // to close months: a closing counts on those before it
	jobs    closeJobs
	kept    keptFigures

	placesKey [32]byte // see placesOf

	periodsClosed, periodFailures atomic.Uint64 // since the start

	unattributed atomic.Pointer[[]UnattributedCount]

	changes      share.Turns // to change meters, settings or nouns, so that log and copy agree on the order
	documents    share.Turns // to have a catalog document in memory
	exports      share.Turns // to export the catalog
	refused      refusals
	documentRoom chan struct{} // holds a token for each document in memory
	exportRoom   chan struct{} // holds a token for each export under way
}

// New makes a service and brings the catalog's copy of meters and settings
// up to what the log says.
func New(ctx context.Context, o Options) (*Service, error) {
	d := DefaultLimits()
	fill(&o.Limits.Reads, d.Reads)
	fill(&o.Limits.ReadWait, d.ReadWait)
	fill(&o.Limits.QueryTime, d.QueryTime)
	fill(&o.Limits.GroupBy, d.GroupBy)
	fill(&o.Limits.FilterTexts, d.FilterTexts)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{ledger: o.Ledger, catalog: o.Catalog, keys: o.Keys, now: o.Clock, logger: o.Logger, limits: o.Limits, owner: noOwner{},
		reads: share.NewReads(o.Limits.Reads, o.Limits.ReadWait, o.Limits.QueryTime), placesKey: o.Ledger.Secret(placesPurpose), documentRoom: make(chan struct{}, documentsAtOnce),
		exportRoom: make(chan struct{}, exportsAtOnce)}
	if err := s.copyAll(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func fill[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// Ready returns nil while requests would be served.
func (s *Service) Ready(ctx context.Context) error {
	if s.ledger.Stats().Failed {
		return meter.Errorf(meter.KindUnavailable, "the ledger has stopped")
	}
	return s.catalog.Ping(ctx)
}

// Authenticate returns the principal of a bearer token. organization is the
// operator's choice to act on another one, "" for the key's own.
func (s *Service) Authenticate(ctx context.Context, token, organization string) (access.Principal, error) {
	k, err := s.keys.AuthenticateKey(ctx, token)
	if err != nil {
		return access.Principal{}, err
	}
	p := access.Principal{Organization: k.Organization, KeyID: k.ID, Role: k.Role, Customer: k.Customer, Operator: k.Operator, DefaultAID: k.DefaultAID,
		Sources: k.Sources, Strict: k.Strict}
	if organization == "" || organization == k.Organization {
		return p, nil
	}
	if !k.Operator { // in the same words whether there is such an organization or not
		return access.Principal{}, meter.Errorf(meter.KindForbidden, "only a key with the operator right may name another organization")
	}
	if _, ok := s.known.Load(organization); !ok {
		if _, err := s.catalog.Organization(ctx, organization); err != nil {
			return access.Principal{}, err
		}
		s.known.Store(organization, struct{}{})
	}
	p.Organization, p.DefaultAID = organization, ""
	return p, nil
}

// Reads are the places of queries, for another room whose queries take theirs among them.
func (s *Service) Reads() *share.Reads { return s.reads }

// turn waits for a place among the reads at work; the turn's Done gives it back.
func (s *Service) turn(ctx context.Context, p access.Principal) (context.Context, *share.ReadTurn, error) {
	return s.reads.Turn(ctx, share.Who{Organization: p.Organization, Key: p.Actor()})
}
