package ledger

import (
	"encoding/binary"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// countVerdicts adds the verdicts of one request.
func countVerdicts(r *state.OrgRecord, verdicts []meter.Verdict, req *block.Request) {
	for _, v := range verdicts {
		switch v {
		case meter.Accepted:
			r.Accepted++
		case meter.Duplicate:
			r.Duplicates++
		case meter.Conflict:
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
	record   state.OrgRecord
	meters   []*meterState // in order of version
	customer atomic.Pointer[string]
	timed    atomic.Bool
	kept     atomic.Uint64
	stopped  atomic.Pointer[state.StopNote]
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

// meterState is one meter in the fold.
type meterState struct {
	state.Cells
	record state.MeterRecord
	frozen state.MeterRecord // record as of the last freeze, for the flush
	groups groupCount
	kin    kinship
	bytes  int  // of the definition as JSON
	shared bool // deleted, and others have their cells under the same keys
}

func newMeterState(org string, r state.MeterRecord) *meterState {
	definition, _ := json.Marshal(&r.Meter)
	cells := r.Cells(org)
	return &meterState{Cells: cells, record: r, frozen: r, kin: kinshipOf(&cells, &r.Meter), bytes: len(definition)}
}

func (m *meterState) state() meter.MeterState {
	r := &m.record
	return meter.MeterState{Meter: r.Meter, Version: r.Version, CreatedSequence: r.Created, CreatedAt: time.Unix(0, r.CreatedAt).UTC(),
		Backfill: meter.BackfillState{Done: m.record.Backfilled(), Cursor: r.Cursor, Target: r.Created}, Skipped: r.Skipped, Groups: m.groups.estimate(), Crowded: r.Crowded}
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
	stored, err := state.ReadOrgs(db)
	if err != nil {
		return nil, err
	}
	orgs := map[string]*orgState{}
	for name, s := range stored {
		o := &orgState{name: name, record: s.Record}
		for _, r := range s.Meters {
			o.meters = append(o.meters, newMeterState(name, r))
		}
		o.publish()
		orgs[name] = o
	}
	return orgs, nil
}

// scanState calls fn for every state key with the prefix.
func (l *Ledger) scanState(prefix []byte, fn func(key, value []byte) error) error {
	return state.Scan(l.state, prefix, fn)
}

// readGroupCounts reads how many groups the meters have. A meter of an older
// program has a list of them instead.
func readGroupCounts(db pebble.Reader, orgs map[string]*orgState) error {
	counts := map[uint32]groupCount{} // by version, read in one go
	err := state.Scan(db, []byte{state.KeyGroupCount}, func(key, value []byte) error {
		c, err := decodeGroupCount(value)
		if err != nil || len(key) != 5 {
			return meter.WrapError(meter.KindCorrupt, err, "the count of a meter's groups is damaged")
		}
		counts[binary.BigEndian.Uint32(key[1:])] = c
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range orgs {
		for _, m := range o.meters {
			counted := false
			if m.groups, counted = counts[m.record.Version]; counted || !m.record.Listed() {
				continue
			}
			if err := m.countListed(db); err != nil {
				return err
			}
		}
	}
	return nil
}

// countListed counts the groups that an older program listed.
func (m *meterState) countListed(db pebble.Reader) error {
	var group []uint64
	return state.Scan(db, state.VersionKey(state.KeyGroup, m.record.Version), func(key, _ []byte) error {
		group = group[:0]
		for rest := key[5:]; len(rest) >= 8; rest = rest[8:] {
			group = append(group, binary.BigEndian.Uint64(rest))
		}
		m.groups.add(group)
		return nil
	})
}
