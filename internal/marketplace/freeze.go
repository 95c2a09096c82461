package marketplace

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// pass is what one freeze of an organization works with.
type pass struct {
	r            *Reporter
	organization string
	state        billing.ReporterState
	now, through time.Time
	view         *catalog.View
	configs      map[string]billing.MeteringConfig // by partner
	metrics      map[string]meter.Meter            // billable metrics by id
	metered      map[string][]reading              // by entitlement
	carried      map[string][]string               // by entitlement: dimensions of which something is to be made of what they carry

	decided int // accounts, in this pass

	left bool                                               // an entitlement has more than one freeze takes
	only time.Time                                          // the one hour to freeze; zero = all
	plan func([]billing.FrozenReport, []billing.Line) error // sees what was decided; an error undoes it
}

// freeze closes the hours of an organization up to now: it freezes what is
// unreported, account by account.
func (r *Reporter) freeze(ctx context.Context, organization string, state billing.ReporterState, now time.Time) error {
	p, err := r.newPass(ctx, organization, state, now)
	if err != nil {
		return err
	}
	var failed []error
	if p.through.After(r.read[organization]) {
		if err := p.readMeters(ctx); err != nil { // what cannot be read keeps nothing else
			failed = append(failed, err)
		}
	}
	settled := r.settled.take(organization)
	if settled || p.through.After(r.read[organization]) {
		if err := p.findCarried(ctx); err != nil {
			return errors.Join(append(failed, err)...)
		}
	}
	accounts, err := p.accounts(ctx)
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	names := slices.Sorted(maps.Keys(accounts))
	for len(names) > 0 {
		some := names[:min(len(names), freezeBatch)]
		names = names[len(some):]
		err := p.freezeAccounts(ctx, some, accounts)
		if err != nil && len(some) > 1 && ctx.Err() == nil { // the one that fails does not keep the others
			err = nil
			for _, name := range some {
				err = errors.Join(err, p.freezeAccounts(ctx, []string{name}, accounts))
			}
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if !p.left { // what is left needs the meters' part of its hours
		r.read[organization] = p.through
	}
	return nil
}

func (r *Reporter) newPass(ctx context.Context, organization string, state billing.ReporterState, now time.Time) (*pass, error) {
	p := &pass{r: r, organization: organization, state: state, now: now, through: r.timing.through(now), configs: map[string]billing.MeteringConfig{},
		metrics: map[string]meter.Meter{}, metered: map[string][]reading{}, carried: map[string][]string{}}
	who := reader(organization)
	var err error
	if p.view, err = r.o.Entries.Catalog(ctx, who, catalog.Want{}); err != nil {
		return nil, err
	}
	configs, err := r.o.Records.MeteringConfigs(ctx, who)
	if err != nil {
		return nil, err
	}
	for _, c := range configs {
		p.configs[c.Partner] = c
	}
	metrics, err := r.o.Records.MetricDefinitions(ctx, who)
	if err != nil {
		return nil, err
	}
	for id, m := range metrics { // each is grouped by its own properties only
		m.GroupBy = slices.DeleteFunc(m.GroupBy, func(name string) bool { return !strings.HasPrefix(name, "properties.") })
		p.metrics[id] = m
	}
	return p, nil
}

// accounts returns the accounts with something to freeze and their entitlements.
func (p *pass) accounts(ctx context.Context) (map[string][]string, error) {
	waiting, err := p.r.frozen.WaitingGroups(ctx, p.organization, p.through)
	if err != nil {
		return nil, err
	}
	work := map[string]bool{}
	for _, w := range waiting {
		work[w.Entitlement] = true
	}
	for entitlement := range p.metered {
		work[entitlement] = true
	}
	for entitlement := range p.carried {
		work[entitlement] = true
	}
	accounts := map[string][]string{}
	var known []*catalog.Entitlement
	for _, id := range slices.Sorted(maps.Keys(work)) {
		if e, ok := p.latest(id); ok && accountOf(e) != "" { // else it stays unreported, and visible as such
			known = append(known, e)
		}
	}
	refused, err := p.r.o.Accounts.TakeAccounts(ctx, p.organization, known)
	if err != nil {
		return nil, err
	}
	for _, e := range known {
		if refused[e.ID] == nil {
			accounts[accountOf(e)] = append(accounts[accountOf(e)], e.ID)
		}
	}
	return accounts, nil
}

// latest is an entitlement as it is, or as it was last.
func (p *pass) latest(id string) (*catalog.Entitlement, bool) {
	if e, ok := p.view.Entitlement(id); ok {
		return e, true
	}
	return p.view.LastEntitlement(id)
}

// freezeAccounts freezes some accounts in one transaction.
func (p *pass) freezeAccounts(ctx context.Context, names []string, accounts map[string][]string) error {
	q := billing.FreezeQuery{Accounts: names, Before: p.through, HoursFrom: p.now.Add(-openLookback), MaxGroups: p.r.most}
	for _, name := range names {
		q.Entitlements = append(q.Entitlements, accounts[name]...)
	}
	var err error
	for range freezeTries {
		err = p.r.frozen.Freeze(ctx, p.organization, q, func(state *billing.FreezeState) ([]billing.FrozenReport, []billing.Line, error) {
			var reports []billing.FrozenReport
			var lines []billing.Line
			for _, name := range names {
				p.decided++
				a := &account{pass: p, name: name, entitlements: accounts[name], state: state}
				more, err := a.decide()
				if err != nil {
					return nil, nil, err
				}
				reports, lines = append(reports, more...), append(lines, a.lines...)
			}
			if p.plan != nil {
				if err := p.plan(reports, lines); err != nil {
					return nil, nil, err
				}
			}
			p.r.o.Fault(faultBeforeFreeze)
			return reports, lines, nil
		})
		if meter.KindOf(err) != meter.KindConflict {
			return err
		}
	}
	return err
}

// bucket is the unreported usage of one entitlement that is billed for one hour.
type bucket struct {
	groups []billing.RecordGroup
	reads  []reading
	takes  map[string]map[string]meter.Decimal // out of what dimensions carry, by term
	late   map[string]bool                     // dimensions with usage of a closed hour; "" = of any
}

// place is where usage goes: an hour, or a person.
type place struct {
	hour   time.Time
	parked string // why it waits for a person; "" = it does not
}

// closedHour says why usage for GCP waits for a person.
const closedHour = "its hour is closed: usage is not given another time silently"

// account decides what is frozen for one account.
type account struct {
	*pass
	name         string
	entitlements []string
	state        *billing.FreezeState

	lines []billing.Line
}

// decide puts all unreported usage of the account where it is billed, and
// makes the reports and lines of each hour.
func (a *account) decide() ([]billing.FrozenReport, error) {
	buckets := map[place]map[string]*bucket{}
	in := func(id string, to place) *bucket {
		if buckets[to] == nil {
			buckets[to] = map[string]*bucket{}
		}
		if buckets[to][id] == nil {
			buckets[to][id] = &bucket{late: map[string]bool{}}
		}
		return buckets[to][id]
	}
	until, err := a.until()
	if err != nil {
		return nil, err
	}
	for _, id := range a.entitlements {
		for _, g := range a.state.Groups[id] {
			usage := g.Usage.UTC().Truncate(time.Hour)
			to, ok := a.target(id, usage, false)
			if ok {
				to = a.others(id, to, usage, meantBy(&g))
			}
			if !ok || !usage.Before(until) || !a.wanted(to) {
				continue
			}
			b, late := in(id, to), !to.hour.Equal(usage)
			b.groups = append(b.groups, g)
			for dimension := range g.Records {
				b.late[dimension] = b.late[dimension] || late
			}
			b.late[""] = b.late[""] || late
		}
		skipped := map[[2]string]time.Time{} // by dimension and month: the hour that takes an earlier reading
		for _, m := range a.metered[id] {
			if !m.current(a.state.Reads[id]) || !m.hour.Before(until) {
				continue // another reporter has read it meanwhile, or it waits for the groups of its hour
			}
			to, ok := a.target(id, m.hour, true)
			if e, _ := a.latest(id); m.late && e.Partner == catalog.PartnerGCP {
				to, ok = place{hour: m.hour, parked: closedHour}, true
			}
			if ok {
				to = a.others(id, to, m.hour, a.countedFor(id, m.hour))
			}
			if !ok {
				continue
			}
			series := [2]string{m.dimension, m.period}
			if earlier, is := skipped[series]; is && a.wanted(to) { // what lies before would be taken as read
				return nil, meter.Errorf(meter.KindConflict, "dimension %q is read from a meter, hour by hour: report the hour %s first",
					m.dimension, earlier.Format(time.RFC3339))
			}
			if !a.wanted(to) {
				if _, is := skipped[series]; !is {
					skipped[series] = to.hour
				}
				continue
			}
			b := in(id, to)
			b.reads = append(b.reads, m)
			b.late[m.dimension] = b.late[m.dimension] || m.late || !to.hour.Equal(m.hour)
		}
	}
	var reports []billing.FrozenReport
	var last time.Time // hour that has a report
	for _, to := range slices.SortedFunc(maps.Keys(buckets), func(x, y place) int {
		if c := x.hour.Compare(y.hour); c != 0 {
			return c
		}
		return strings.Compare(x.parked, y.parked)
	}) {
		more, err := a.hour(to, buckets[to])
		if err != nil {
			return nil, err
		}
		reports, last = append(reports, more...), latest(last, to.hour)
	}
	more, err := a.carry(last, until)
	return append(reports, more...), err
}

// due is when the account's lines may be sent: now. Those of a pass are told
// apart by less than a second, so that lines of one account are sent together:
// their reports are then concluded once and lie side by side.
func (a *account) due() time.Time {
	return a.now.Add(time.Duration(min(a.decided, 999_999))*time.Microsecond - time.Second)
}

// reportID makes an id as version 7 of UUIDs: those of a pass are neighbours, in
// the order of its accounts, and so are their rows in every index.
func (a *account) reportID() string {
	id := uuid.New() // version and variant are fixed bits of it
	ms := uint64(a.now.UnixMilli()) + uint64(a.decided>>12)
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[7] = 0x70|byte(a.decided>>8&0xf), byte(a.decided)
	return id.String()
}

// until is the end of the hours that are frozen of the account now: where one of
// its entitlements has more groups than a freeze takes, not all hours are.
func (a *account) until() (time.Time, error) {
	until := a.through
	for _, id := range a.entitlements {
		if cut, is := a.state.Until[id]; is {
			until, a.left = earliest(until, cut), true
		}
	}
	if !a.only.Before(until) {
		return until, meter.Errorf(meter.KindConflict, "too many usage record groups of hours before are not reported: report the hour %s first",
			until.Add(-time.Hour).Format(time.RFC3339))
	}
	return until, nil
}

func (p *pass) wanted(to place) bool { return p.only.IsZero() || p.only.Equal(to.hour) }

// target says where the usage of an hour is billed; false if it has to wait
// for a later hour to close, or for nothing: then it stays unreported.
func (a *account) target(id string, usage time.Time, metered bool) (place, bool) {
	e, _ := a.latest(id)
	switch {
	case a.open(id, usage):
		return place{hour: usage}, true
	case !a.now.Before(a.deadline(e.Partner, usage)) && usage.Before(a.pass.state.Restored):
		return place{hour: usage, parked: "may have been reported before the catalog was restored"}, true
	case e.Partner == catalog.PartnerGCP:
		return place{hour: usage, parked: closedHour}, true
	case a.over(e) && metered:
		return place{hour: usage, parked: overUseReason}, true
	}
	from := usage.Add(time.Hour)
	if oldest := a.now.Add(-openLookback).Truncate(time.Hour); from.Before(oldest) {
		from = oldest
	}
	for hour := from; hour.Before(a.through); hour = hour.Add(time.Hour) {
		if a.open(id, hour) {
			return place{hour: hour}, true
		}
	}
	return place{}, false
}

func (a *account) deadline(partner string, hour time.Time) time.Time {
	return a.r.timing.deadline(partner, hour)
}

// open says whether usage of an entitlement may be billed for an hour: nothing
// is frozen for it, the deadline has not passed, the entitlement is active.
func (a *account) open(id string, hour time.Time) bool {
	if !hour.Before(a.through) || a.state.Hours[a.name][hour] {
		return false
	}
	e, ok := a.view.EntitlementAt(id, hour)
	if !ok {
		return false
	}
	_, active := activeIn(e, hour)
	return active && accountOf(e) == a.name && a.now.Before(a.deadline(e.Partner, hour))
}

// activeIn returns the first instant of an hour at which an entitlement is
// active: the hour's start, or where the entitlement or a term of it starts
// within the hour. If it is not active in it, that is the hour's start, and false.
func activeIn(e *catalog.Entitlement, hour time.Time) (time.Time, bool) {
	starts := []time.Time{hour, e.Starts.Time}
	for _, t := range e.Terms {
		starts = append(starts, t.Starts.Time)
	}
	slices.SortFunc(starts, time.Time.Compare)
	for _, at := range starts {
		if !at.Before(hour) && at.Before(hour.Add(time.Hour)) && e.ActiveAt(at) {
			return at, true
		}
	}
	return hour, false
}
