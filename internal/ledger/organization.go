package ledger

import (
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/cell"
	"odometer/internal/meter"
)

// orgRecord is what the fold keeps of one organization, stored at every checkpoint.
type orgRecord struct {
	CustomerAttribute string    `json:"customer_attribute,omitempty"` // "" = the subject
	RequireTime       bool      `json:"require_time,omitempty"`       // events without a time are rejected
	Accepted          uint64    `json:"accepted"`
	Duplicates        uint64    `json:"duplicates"`
	Conflicts         uint64    `json:"conflicts"`
	Rejected          uint64    `json:"rejected"`
	KeptRejections    uint64    `json:"kept_rejections"`
	Voided            uint64    `json:"voided"`
	MinTime           int64     `json:"min_time"` // of accepted events, unix nanoseconds; valid once Accepted > 0
	MaxTime           int64     `json:"max_time"`
	Reached           reach     `json:"reached,omitempty"`
	Stopped           *stopNote `json:"stopped,omitempty"`
}

// stopNote says why an organization's usage is no longer served.
type stopNote struct {
	Sequence uint64 `json:"sequence"`
	Reason   string `json:"reason"`
}

// count adds the verdicts of one request.
func (r *orgRecord) count(verdicts []Verdict, req *block.Request) {
	for _, v := range verdicts {
		switch v {
		case Accepted:
			r.Accepted++
		case Duplicate:
			r.Duplicates++
		case Conflict:
			r.Conflicts++
		default:
			r.Rejected++
		}
	}
	r.Rejected += uint64(req.Events - req.Rows)
	r.KeptRejections += uint64(len(req.Rejections))
}

// orgState is one organization in the fold. Its record and meters are written
// by the fold under Ledger.mu; the atomics are read by request goroutines.
type orgState struct {
	name     string
	record   orgRecord
	meters   []*meterState // in order of version
	customer atomic.Pointer[string]
	timed    atomic.Bool
	kept     atomic.Uint64
	stopped  atomic.Pointer[stopNote]
}

func (o *orgState) publish() {
	attr := o.record.CustomerAttribute
	o.customer.Store(&attr)
	o.timed.Store(o.record.RequireTime)
	o.kept.Store(o.record.KeptRejections)
	o.stopped.Store(o.record.Stopped)
}

func (o *orgState) stoppedError() error {
	s := o.stopped.Load()
	if s == nil {
		return nil
	}
	return meter.Errorf(meter.KindCorrupt, "organization %s is stopped at block %d: %s", o.name, s.Sequence, s.Reason)
}

func (o *orgState) meter(key string) *meterState {
	for _, m := range o.meters {
		if m.record.Meter.Key == key {
			return m
		}
	}
	return nil
}

// meterRecord is what the fold keeps of one meter.
type meterRecord struct {
	Meter     meter.Meter `json:"meter"`
	Version   uint32      `json:"version"`
	Created   uint64      `json:"created"` // sequence of the definition
	CreatedAt int64       `json:"created_at"`
	Cursor    uint64      `json:"cursor"`          // backfilled up to and including; done when == Created
	Ahead     uint64      `json:"ahead,omitempty"` // a block that is counted here already, though the checkpoint ends before it
	Skipped   uint64      `json:"skipped"`
	Groups    uint64      `json:"groups"`
	Crowded   bool        `json:"crowded,omitempty"` // more groups than Limits.GroupsPerMeter: new ones share a group, see overflow
}

// meterState is one meter in the fold.
type meterState struct {
	org    string
	record meterRecord
	frozen meterRecord // record as of the last freeze, for the flush
	kind   cell.Kind
	width  time.Duration
	order  []string // group_by with the customer first: the order of cell keys
	bytes  int      // of the definition as JSON
}

func newMeterState(org string, r meterRecord) *meterState {
	definition, _ := json.Marshal(&r.Meter)
	return &meterState{bytes: len(definition), org: org, record: r, frozen: r, kind: cell.KindFor(r.Meter.Aggregation), width: r.Meter.SlotWidth(), order: cellOrder(r.Meter.GroupBy)}
}

// cellOrder puts the customer first so that one customer's cells are neighbours.
func cellOrder(groupBy []string) []string {
	out := make([]string, 0, len(groupBy))
	for _, g := range groupBy {
		if g == customerAttribute {
			out = append(out, g)
		}
	}
	for _, g := range groupBy {
		if g != customerAttribute {
			out = append(out, g)
		}
	}
	return out
}

func (m *meterState) backfilled() bool { return m.record.Cursor >= m.record.Created }

func (m *meterState) state() MeterState {
	r := &m.record
	return MeterState{Meter: r.Meter, Version: r.Version, CreatedSequence: r.Created, CreatedAt: time.Unix(0, r.CreatedAt).UTC(),
		Backfill: BackfillState{Done: m.backfilled(), Cursor: r.Cursor, Target: r.Created}, Skipped: r.Skipped, Groups: r.Groups, Crowded: r.Crowded}
}

// org returns the organization's state, made on first use. Fold goroutine, or with mu held.
func (l *Ledger) org(name string) *orgState {
	l.orgsMu.RLock()
	o := l.orgs[name]
	l.orgsMu.RUnlock()
	if o != nil {
		return o
	}
	l.orgsMu.Lock()
	defer l.orgsMu.Unlock()
	if o = l.orgs[name]; o == nil {
		o = &orgState{name: name}
		o.publish()
		l.orgs[name] = o
	}
	return o
}

// peekOrg returns the organization's state or nil, for readers.
func (l *Ledger) peekOrg(name string) *orgState {
	l.orgsMu.RLock()
	defer l.orgsMu.RUnlock()
	return l.orgs[name]
}

// CustomerAttribute returns the attribute that names the customer of the
// organization's events; "" is their subject.
func (l *Ledger) CustomerAttribute(org string) string {
	if o := l.peekOrg(org); o != nil {
		return *o.customer.Load()
	}
	return ""
}

// TimeAssigned says whether the organization takes events without a time.
func (l *Ledger) TimeAssigned(org string) bool {
	o := l.peekOrg(org)
	return o == nil || !o.timed.Load()
}

// readOrgs reads the stored organizations and their meters.
func readOrgs(db pebble.Reader) (map[string]*orgState, error) {
	orgs := map[string]*orgState{}
	err := scanDB(db, []byte{keyOrg}, func(key, value []byte) error {
		name, _, ok := cutOrg(key[1:])
		if !ok {
			return meter.Errorf(meter.KindCorrupt, "organization key %x is damaged", key)
		}
		o := &orgState{name: name}
		if err := json.Unmarshal(value, &o.record); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the record of organization %s is damaged", name)
		}
		o.publish()
		orgs[name] = o
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = scanDB(db, []byte{keyMeter}, func(key, value []byte) error {
		name, rest, ok := cutOrg(key[1:])
		if !ok || orgs[name] == nil {
			return meter.Errorf(meter.KindCorrupt, "meter key %x is damaged", key)
		}
		var r meterRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return meter.WrapError(meter.KindCorrupt, err, "the record of meter %s is damaged", rest)
		}
		o := orgs[name]
		o.meters = append(o.meters, newMeterState(name, r))
		sortMeters(o.meters)
		return nil
	})
	return orgs, err
}

// scanState calls fn for every state key with the prefix.
func (l *Ledger) scanState(prefix []byte, fn func(key, value []byte) error) error {
	return scanDB(l.state, prefix, fn)
}
