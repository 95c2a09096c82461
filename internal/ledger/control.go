package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// control is a log entry that is not usage: definitions, settings and voids.
// Exactly one part is set. It is stored as JSON, version first.
type control struct {
	V        int          `json:"v"`
	Actor    string       `json:"actor,omitempty"`
	Create   *meter.Meter `json:"create_meter,omitempty"`
	Update   *meterUpdate `json:"update_meter,omitempty"`
	Delete   string       `json:"delete_meter,omitempty"`
	Customer *string      `json:"customer_attribute,omitempty"`
	Assign   *bool        `json:"assign_time,omitempty"`
	Void     *voidEntry   `json:"void,omitempty"`
}

type meterUpdate struct {
	Key string `json:"key"`
	meter.MeterPatch
}

const controlVersion = 1

func (c control) encode() ([]byte, error) {
	c.V = controlVersion
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode a control entry: %w", err)
	}
	return b, nil
}

func decodeControl(b []byte) (control, error) {
	var c control
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, meter.WrapError(meter.KindCorrupt, err, "a control entry is damaged")
	}
	if c.V != controlVersion {
		return c, meter.Errorf(meter.KindCorrupt, "a control entry has version %d, this program reads %d", c.V, controlVersion)
	}
	return c, nil
}

// foldControl applies a control entry. Every entry, however odd, has a
// defined effect, if only to be refused: the fold is total.
func (l *Ledger) foldControl(org *orgState, it *foldItem) ([]answer, error) {
	c, err := decodeControl(it.control)
	if err != nil {
		return nil, err
	}
	var a answer
	var undo *voidWork
	if c.Void != nil {
		if undo, err = l.judgeVoid(org, it, c.Void); err != nil {
			return nil, err
		}
		if undo.unreadable != nil {
			// damage of one organization's block stops that one, not the others.
			l.stopOrg(it, &state.StopNote{Sequence: it.header.Sequence, Reason: undo.unreadable.Error()})
			return refuseAll(it, org.stoppedError()), nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.Create != nil:
		a.control, a.err = l.foldCreate(org, it, *c.Create)
	case c.Update != nil:
		a.control, a.err = l.foldUpdate(org, *c.Update)
	case c.Delete != "":
		a.err = l.foldDelete(org, c.Delete)
	case c.Customer != nil:
		org.record.CustomerAttribute = *c.Customer
	case c.Assign != nil:
		org.record.RequireTime = !*c.Assign
	case c.Void != nil:
		if err := l.foldVoid(org, it, c, undo); err != nil {
			return nil, err
		}
		a.control = undo.result
	}
	l.noteBlock(org, it)
	return []answer{a}, nil
}

func (l *Ledger) foldCreate(org *orgState, it *foldItem, m meter.Meter) (any, error) {
	if old := org.meter(m.Key); old != nil {
		if old.record.Meter.SameDefinition(m) {
			return old.state(), nil
		}
		return nil, meter.Errorf(meter.KindConflict, "meter %q exists with another definition; definitions do not change, use a new key", m.Key)
	}
	l.nextVersion++
	r := state.MeterRecord{Meter: m, Version: l.nextVersion, Created: it.header.Sequence, CreatedAt: it.header.Accepted.UnixNano()}
	if org.record.Accepted == 0 {
		r.Cursor = it.header.Sequence // nothing to fold
		r.Store, r.Column = org.storeFor(&r)
	}
	made := newMeterState(org.name, r)
	// Copied, not appended in place: readers hold the old slice.
	org.meters = append(slices.Clone(org.meters), made)
	l.active.meters[made] = struct{}{}
	l.active.addMeter(org, made)
	l.backfill.wake()
	return made.state(), nil
}

func (l *Ledger) foldUpdate(org *orgState, u meterUpdate) (any, error) {
	m := org.meter(u.Key)
	if m == nil {
		return nil, meter.Errorf(meter.KindNotFound, "there is no meter %q", u.Key)
	}
	for _, p := range []struct {
		to   *string
		from *string
	}{{&m.record.Meter.Name, u.Name}, {&m.record.Meter.Description, u.Description}, {&m.record.Meter.Unit, u.Unit}, {&m.record.Meter.Status, u.Status}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	l.active.meters[m] = struct{}{}
	return m.state(), nil
}

func (l *Ledger) foldDelete(org *orgState, key string) error {
	m := org.meter(key)
	if m == nil {
		return meter.Errorf(meter.KindNotFound, "there is no meter %q", key)
	}
	org.meters = slices.DeleteFunc(slices.Clone(org.meters), func(o *meterState) bool { return o == m })
	m.shared = slices.ContainsFunc(org.meters, func(o *meterState) bool { return o.record.StoreVersion() == m.record.StoreVersion() })
	delete(l.active.meters, m)
	l.active.dropMeter(org, m)
	l.active.deleted = append(l.active.deleted, m)
	return nil
}

// CreateMeter defines a meter and folds it from here on; what came before is
// backfilled. The same definition again returns the meter as it stands;
// another definition under the key is KindConflict.
func (l *Ledger) CreateMeter(ctx context.Context, org string, m meter.Meter, actor string) (meter.MeterState, error) {
	m = m.Normalize()
	if err := m.Validate(); err != nil {
		return meter.MeterState{}, err
	}
	if old, ok := l.Meter(org, m.Key); ok && old.SameDefinition(m) {
		return old, nil
	}
	if err := l.MeterRoom(org, 1); err != nil {
		return meter.MeterState{}, err
	}
	if err := l.definitionRoom(org, &m); err != nil {
		return meter.MeterState{}, err
	}
	v, _, err := l.submitControl(ctx, org, control{Actor: actor, Create: &m})
	if err != nil {
		return meter.MeterState{}, err
	}
	return v.(meter.MeterState), nil
}

// MeterRoom says whether an organization may define so many meters more;
// KindInvalid if that is past Limits.MetersPerOrg. It is not the fold's to
// judge: a limit is a setting, the fold knows the log only.
func (l *Ledger) MeterRoom(org string, more int) error {
	if n := len(l.Meters(org)); n+more > l.limits.MetersPerOrg {
		return meter.Errorf(meter.KindInvalid, "the organization has %d meters and cannot have %d more (limit %d)", n, more, l.limits.MetersPerOrg)
	}
	return nil
}

// definitionRoom says whether an organization's definitions leave room for one
// more; KindInvalid if they would pass Limits.MeterBytes.
func (l *Ledger) definitionRoom(org string, m *meter.Meter) error {
	definition, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a meter: %w", err)
	}
	have := 0
	l.mu.RLock()
	if o := l.peekOrg(org); o != nil {
		for _, m := range o.meters {
			have += m.bytes
		}
	}
	l.mu.RUnlock()
	if have+len(definition) > l.limits.MeterBytes {
		return meter.Errorf(meter.KindInvalid, "the organization's meters are defined in %d bytes and cannot have %d more (limit %d)", have, len(definition), l.limits.MeterBytes)
	}
	return nil
}

// UpdateMeter changes what may change of a meter. KindNotFound if there is none.
func (l *Ledger) UpdateMeter(ctx context.Context, org, key string, p meter.MeterPatch, actor string) (meter.MeterState, error) {
	old, ok := l.Meter(org, key)
	if !ok {
		return meter.MeterState{}, meter.Errorf(meter.KindNotFound, "there is no meter %q", key)
	}
	m := old.Meter
	for _, c := range []struct {
		to   *string
		from *string
	}{{&m.Name, p.Name}, {&m.Description, p.Description}, {&m.Unit, p.Unit}, {&m.Status, p.Status}} {
		if c.from != nil {
			*c.to = *c.from
		}
	}
	if err := m.Validate(); err != nil {
		return meter.MeterState{}, err
	}
	v, _, err := l.submitControl(ctx, org, control{Actor: actor, Update: &meterUpdate{Key: key, MeterPatch: p}})
	if err != nil {
		return meter.MeterState{}, err
	}
	return v.(meter.MeterState), nil
}

// DeleteMeter removes a meter and its cells; the events stay. KindNotFound if there is none.
func (l *Ledger) DeleteMeter(ctx context.Context, org, key, actor string) error {
	if _, ok := l.Meter(org, key); !ok {
		return meter.Errorf(meter.KindNotFound, "there is no meter %q", key)
	}
	_, _, err := l.submitControl(ctx, org, control{Actor: actor, Delete: key})
	return err
}

// SetCustomerAttribute names the attribute that holds an event's customer
// from here on; "" or "subject" is the event's subject.
func (l *Ledger) SetCustomerAttribute(ctx context.Context, org, attribute, actor string) error {
	if attribute == "subject" {
		attribute = ""
	}
	_, _, err := l.submitControl(ctx, org, control{Actor: actor, Customer: &attribute})
	return err
}

// SetTimeAssigned says whether events that are sent without a time are taken
// from here on, with the time at which they are accepted, or rejected.
func (l *Ledger) SetTimeAssigned(ctx context.Context, org string, assigned bool, actor string) error {
	_, _, err := l.submitControl(ctx, org, control{Actor: actor, Assign: &assigned})
	return err
}

// Meters returns the organization's meters in order of their definition.
func (l *Ledger) Meters(org string) []meter.MeterState {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.peekOrg(org)
	if o == nil {
		return nil
	}
	out := make([]meter.MeterState, len(o.meters))
	for i, m := range o.meters {
		out[i] = m.state()
	}
	return out
}

// Meter returns one meter, false if there is none.
func (l *Ledger) Meter(org, key string) (meter.MeterState, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if o := l.peekOrg(org); o != nil {
		if m := o.meter(key); m != nil {
			return m.state(), true
		}
	}
	return meter.MeterState{}, false
}
