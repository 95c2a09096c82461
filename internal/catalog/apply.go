package catalog

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"odometer/internal/meter"
)

// ApplyOptions say how a document is applied.
type ApplyOptions struct {
	DryRun    bool      // only tell the difference
	Prune     bool      // remove what the document does not have
	Actor     string    // who does it
	Effective time.Time // from when changes hold; zero = now, and not later than now
}

// Diff is what applying a document changes.
type Diff struct {
	Organization *OrganizationSettings `json:"organization,omitempty"` // what the organization becomes; nil = no change
	Meters       MeterDiff             `json:"meters"`
	Changes      []Change              `json:"changes"` // of nouns, in the order in which they are made
}

// MeterDiff is what a document wants of the ledger, which decides on meters;
// Apply itself does not touch them.
type MeterDiff struct {
	Create []meter.Meter `json:"create,omitempty"`
	Update []meter.Meter `json:"update,omitempty"` // other names, descriptions, units or status
	Remove []string      `json:"remove,omitempty"` // keys; pruning, where the document has meters at all
}

// Change is what happens to one noun.
type Change struct {
	Action   AuditAction     `json:"action"` // create, update or delete
	Noun     string          `json:"noun"`
	Customer string          `json:"customer,omitempty"`
	ID       string          `json:"id"`
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
}

// Empty says whether nothing changes.
func (d Diff) Empty() bool {
	return d.Organization == nil && len(d.Changes) == 0 &&
		len(d.Meters.Create) == 0 && len(d.Meters.Update) == 0 && len(d.Meters.Remove) == 0
}

// Apply makes the organization's nouns what the document says, all or nothing,
// and returns what changed; applying it again changes nothing. A noun that is
// in the document is as the document says in all its fields; one that is not
// stays, or is removed by pruning. Removal is soft: history keeps the noun.
//
// Meters are left to the caller, who creates those of Diff.Meters in the ledger
// first; a dry run tells them. References are to what the document has or the
// catalogue keeps. Each change leaves an audit entry. Errors of the document
// are KindInvalid and name its lines.
func (s *Store) Apply(ctx context.Context, organization string, doc *Document, opt ApplyOptions) (Diff, error) {
	if err := doc.Validate(); err != nil {
		return Diff{}, err
	}
	if o := doc.Organization; o != nil && o.ID != "" && o.ID != organization {
		return Diff{}, problemAt("organization.id", "the document is not of this organization").err(doc.lines)
	}
	return s.change(ctx, organization, opt, func(have *state) (*Document, error) {
		if opt.Prune {
			return doc, have.checkReferences(doc, doc, planMeters(have, doc, true).Remove).errIn(doc)
		}
		merged := merge(have.doc, doc)
		return merged, have.checkReferences(doc, merged, nil).errIn(doc)
	})
}

// Edit changes nouns as a function edits the document of all that there are;
// what it removes from it is removed. It is the way of callers that change one
// noun, and all that is said of Apply holds for it. The document's meters and
// organization are left as they are.
func (s *Store) Edit(ctx context.Context, organization string, opt ApplyOptions, edit func(doc *Document) error) (Diff, error) {
	return s.edit(ctx, organization, opt, edit, func(p problems, doc *Document) error { return p.errIn(doc) })
}

// edit is Edit with its own way to say that references lead nowhere.
func (s *Store) edit(ctx context.Context, organization string, opt ApplyOptions, edit func(*Document) error, dangling func(problems, *Document) error) (Diff, error) {
	return s.change(ctx, organization, opt, func(have *state) (*Document, error) {
		edited := have.doc // its own: the state is read anew for each change
		before := slices.Clone(edited.Entitlements)
		if err := edit(edited); err != nil {
			return nil, err
		}
		edited.keepListings(before)
		edited.Meters, edited.Organization = nil, nil
		if err := edited.Validate(); err != nil {
			return nil, err
		}
		if p := have.checkReferences(edited, edited, nil); p.count > 0 {
			return nil, dangling(p, edited)
		}
		return edited, nil
	})
}

// Export returns the organization as a document that Apply reproduces exactly.
func (s *Store) Export(ctx context.Context, organization string) (*Document, error) {
	var have *state
	err := s.snapshot(ctx, "read the catalogue", func(q executor) (err error) {
		have, err = s.readState(ctx, q, organization)
		return err
	})
	if err != nil {
		return nil, err
	}
	doc := have.doc
	doc.Organization = &OrganizationSettings{Name: have.organization.Name, CustomerAttribute: have.organization.CustomerAttribute}
	for _, key := range sortedKeys(have.meters) {
		doc.Meters = append(doc.Meters, have.meters[key])
	}
	return doc, nil
}

// state is what an organization has before a change.
type state struct {
	organization Organization
	meters       map[string]meter.Meter // by key
	versions     []version
	doc          *Document
}

func (s *Store) readState(ctx context.Context, q queryer, organization string) (*state, error) {
	o, err := getOrganization(ctx, q, organization)
	if err != nil {
		return nil, err
	}
	have := &state{organization: o, meters: map[string]meter.Meter{}}
	copies, err := list(ctx, q, scanMeter, stmt.MeterList, organization, "", maxInt)
	if err != nil {
		return nil, err
	}
	for _, c := range copies {
		var m meter.Meter
		if err := json.Unmarshal(c.Definition, &m); err != nil {
			return nil, meter.WrapError(meter.KindCorrupt, err, "the copy of meter %s cannot be read", c.Key)
		}
		have.meters[c.Key] = m
	}
	if have.versions, err = loadNouns(ctx, q, organization); err != nil {
		return nil, err
	}
	have.doc, err = documentOf(have.versions)
	return have, err
}

// checkReferences checks those of doc, which may lead to anything in all and
// to meters, but for those that go.
func (have *state) checkReferences(doc, all *Document, gone []string) problems {
	var meters []meter.Meter
	goes := setOf(gone)
	for i, m := range doc.Meters {
		if old, ok := have.meters[m.Key]; ok && !old.SameDefinition(m) {
			return problemAt(item("meters", i), "meter "+m.Key+" exists with another definition; a new definition needs a new key")
		}
	}
	for key, m := range have.meters {
		if !goes[key] {
			meters = append(meters, m)
		}
	}
	return scopeOf(all, meters).check(doc)
}

// change makes the nouns what target returns of those that there are.
func (s *Store) change(ctx context.Context, organization string, opt ApplyOptions, target func(*state) (*Document, error)) (Diff, error) {
	now := s.now()
	effective := opt.Effective.UTC().Truncate(time.Microsecond)
	if opt.Effective.IsZero() {
		effective = now
	}
	if effective.After(now) {
		return Diff{}, meter.Errorf(meter.KindInvalid, "effective is in the future")
	}
	if err := checkActor(opt.Actor); err != nil {
		return Diff{}, err
	}
	var p *plan
	makePlan := func(q queryer) error {
		have, err := s.readState(ctx, q, organization)
		if err != nil {
			return err
		}
		doc, err := target(have)
		if err != nil {
			return err
		}
		p, err = planChange(have, doc, effective, opt.Prune)
		if err == nil {
			err = checkLicences(doc, p.diff.Changes)
		}
		if err == nil {
			err = checkMoves(ctx, q, organization, have, p.diff.Changes)
		}
		if err == nil && p.nouns > s.limits.Nouns {
			err = meter.Errorf(meter.KindTooLarge, "the organization would have %d nouns, more than %d", p.nouns, s.limits.Nouns)
		}
		return err
	}
	if opt.DryRun {
		err := s.snapshot(ctx, "compare the catalogue", func(q executor) error {
			if err := makePlan(q); err != nil {
				return err
			}
			return s.takeAccounts(ctx, q, p, true)
		})
		if err != nil {
			return Diff{}, err
		}
		return p.diff, nil
	}
	err := s.write(ctx, "change the catalogue", func(tx *sql.Tx) error {
		if err := makePlan(tx); err != nil {
			return err
		}
		if err := s.takeAccounts(ctx, tx, p, false); err != nil {
			return err
		}
		return s.perform(ctx, tx, p, opt.Actor)
	})
	if err != nil {
		return Diff{}, err
	}
	return p.diff, nil
}

// plan is a difference and all that is needed to make it.
type plan struct {
	diff  Diff
	steps []step // one for each of diff.Changes
	nouns int    // that there are then
	old   Organization
	new   Organization
}

// step is a change of a noun that holds from an instant on.
type step struct {
	key  nounKey
	from int64
	seen bool // the noun has had versions
}

func planChange(have *state, doc *Document, effective time.Time, prune bool) (*plan, error) {
	p := &plan{old: have.organization, new: have.organization}
	if o := doc.Organization; o != nil {
		if o.Name != "" {
			p.new.Name = o.Name
		}
		if o.CustomerAttribute != "" {
			p.new.CustomerAttribute = o.CustomerAttribute
		}
		if p.new != p.old {
			p.diff.Organization = &OrganizationSettings{Name: p.new.Name, CustomerAttribute: p.new.CustomerAttribute}
		}
	}
	p.diff.Meters = planMeters(have, doc, prune)
	settled, starts, err := settleAgents(have.versions, doc, effective)
	if err != nil {
		return nil, err
	}
	put, gone, err := p.compare(have.versions, settled)
	if err != nil {
		return nil, err
	}
	for _, n := range append(put, gone...) {
		st := step{key: n.nounKey, from: effective.UnixMicro(), seen: n.seen}
		if from, ok := starts[n.nounKey]; ok && n.change.After != nil {
			st.from = from
		}
		p.diff.Changes = append(p.diff.Changes, n.change)
		p.steps = append(p.steps, st)
	}
	return p, nil
}

// changed is a noun that differs.
type changed struct {
	nounKey
	change Change
	seen   bool // it has had versions
}

// compare finds the nouns of a document that differ from the versions that hold
// now: what is new or other in order, and what is gone, the inner first. It
// counts those that there are then.
func (p *plan) compare(versions []version, doc *Document) (put, gone []changed, err error) {
	last := make(map[nounKey]int, len(versions)) // the version that holds now, or else any
	for i, v := range versions {
		if had, ok := last[v.nounKey]; !ok || !versions[had].current() {
			last[v.nounKey] = i
		}
	}
	stays := make([]bool, len(versions))
	err = flatten(doc, func(k nounKey, body []byte) {
		p.nouns++
		n := changed{k, Change{Noun: k.kind, Customer: k.customer, ID: k.id, Action: AuditCreate}, false}
		i, ok := last[k]
		n.seen = ok
		if ok && versions[i].current() {
			stays[i] = true
			if versions[i].body == string(body) {
				return
			}
			n.change.Action, n.change.Before = AuditUpdate, json.RawMessage(versions[i].body)
		}
		n.change.After = bytes.Clone(body)
		put = append(put, n)
	})
	if err != nil {
		return nil, nil, err
	}
	for i, v := range versions {
		if v.current() && !stays[i] {
			gone = append(gone, changed{v.nounKey, Change{Noun: v.kind, Customer: v.customer, ID: v.id, Action: AuditDelete, Before: json.RawMessage(v.body)}, true})
		}
	}
	slices.SortFunc(put, func(a, b changed) int { return compareKeys(a.nounKey, b.nounKey) })
	slices.SortFunc(gone, func(a, b changed) int { return compareKeys(b.nounKey, a.nounKey) })
	return put, gone, nil
}

func planMeters(have *state, doc *Document, prune bool) MeterDiff {
	var d MeterDiff
	named := map[string]bool{}
	for _, m := range doc.Meters {
		m = m.Normalize()
		named[m.Key] = true
		old, ok := have.meters[m.Key]
		old = old.Normalize()
		switch {
		case !ok:
			d.Create = append(d.Create, m)
		case old.Name != m.Name || old.Description != m.Description || old.Unit != m.Unit || old.Status != m.Status:
			d.Update = append(d.Update, m)
		}
	}
	if prune && len(doc.Meters) > 0 {
		for _, key := range sortedKeys(have.meters) {
			if !named[key] {
				d.Remove = append(d.Remove, key)
			}
		}
	}
	return d
}

// settleAgents returns doc with agents that name no effective instant given
// the one that they have, or else that of the change; and from when changes
// hold of agents that name another instant than they had.
func settleAgents(versions []version, doc *Document, effective time.Time) (*Document, map[nounKey]int64, error) {
	known := map[nounKey]Date{}
	for _, v := range versions {
		if v.kind != NounAgent || !v.current() {
			continue
		}
		var a Agent
		if err := json.Unmarshal([]byte(v.body), &a); err != nil {
			return nil, nil, err
		}
		known[v.nounKey] = a.Effective
	}
	starts := map[nounKey]int64{}
	settled := *doc
	settled.Customers = slices.Clone(doc.Customers)
	for i := range settled.Customers {
		c := &settled.Customers[i]
		c.Agents = slices.Clone(c.Agents)
		for j := range c.Agents {
			a := &c.Agents[j]
			key := nounKey{NounAgent, c.ID, a.ID}
			old, had := known[key]
			switch {
			case a.Effective.IsZero() && had:
				a.Effective = old
			case a.Effective.IsZero():
				a.Effective = dateOf(effective)
			case had && !a.Effective.Equal(old.Time):
				starts[key] = a.Effective.UnixMicro()
			}
		}
	}
	return &settled, starts, nil
}

// perform makes a plan's changes in a transaction.
func (s *Store) perform(ctx context.Context, tx *sql.Tx, p *plan, actor string) error {
	id := p.old.ID
	if p.new != p.old {
		if err := p.new.validate(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, stmt.OrganizationUpdate, id, p.new.Name, p.new.CustomerAttribute); err != nil {
			return err
		}
		if err := s.audit(ctx, tx, change{id, actor, AuditUpdate, "organization", id, p.old, p.new}); err != nil {
			return err
		}
	}
	if len(p.steps) == 0 {
		return nil
	}
	if err := s.makeSteps(ctx, tx, p); err != nil {
		return err
	}
	entries := make([]change, len(p.steps))
	for i, st := range p.steps {
		c := p.diff.Changes[i]
		entries[i] = change{organization: id, actor: actor, action: c.Action, noun: c.Noun, id: st.key.String()}
		if c.Before != nil {
			entries[i].before = rendered(c.Before)
		}
		if c.After != nil {
			entries[i].after = rendered(c.After)
		}
	}
	if err := s.auditAll(ctx, tx, id, entries); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, stmt.NounsChanged, id)
	return err
}

// makeSteps writes the versions of the plan's nouns, which may be many: what
// ends first, and then what begins, many at a time. Each noun has one step, so
// that their order does not matter.
func (s *Store) makeSteps(ctx context.Context, tx *sql.Tx, p *plan) error {
	if err := p.endVersions(ctx, tx); err != nil {
		return err
	}
	var begin []any
	for i, st := range p.steps {
		if p.diff.Changes[i].Action == AuditDelete {
			continue
		}
		from := int64(always)
		if st.seen {
			from = st.from
		}
		begin = append(begin, p.old.ID, st.key.kind, st.key.customer, st.key.id, from, string(p.diff.Changes[i].After))
		if len(begin) < nounColumns*s.dialect.bulkRows {
			continue
		}
		if err := s.insertAll(ctx, tx, stmt.NounCreate, nounColumns, begin); err != nil {
			return err
		}
		clear(begin)
		begin = begin[:0]
	}
	return s.insertAll(ctx, tx, stmt.NounCreate, nounColumns, begin)
}

// endVersions ends the versions of the plan's nouns that there are.
func (p *plan) endVersions(ctx context.Context, tx *sql.Tx) error {
	var ids []string
	var of step // of ids
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		err := endVersions(ctx, tx, p.old.ID, of.key, ids, of.from)
		ids = ids[:0]
		return err
	}
	for _, st := range p.steps {
		if !st.seen {
			continue
		}
		if len(ids) == maxEnded || of.key.kind != st.key.kind || of.key.customer != st.key.customer || of.from != st.from {
			if err := flush(); err != nil {
				return err
			}
		}
		of = st
		ids = append(ids, st.key.id)
	}
	return flush()
}
