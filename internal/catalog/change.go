package catalog

import (
	"bytes"
	"encoding/json"
	"odometer/internal/meter"
	"slices"
	"time"
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

// State is what an organization has before a change.
type State struct {
	organization Organization
	meters       map[string]meter.Meter // by key
	versions     []Version
	doc          *Document
	beside       Beside // of a state that has not all nouns
}

// NewState makes a state of an organization, its meters by key, and all
// versions of its nouns in the order of SortVersions.
func NewState(o Organization, meters map[string]meter.Meter, versions []Version) (*State, error) {
	doc, err := documentOf(versions)
	return &State{organization: o, meters: meters, versions: versions, doc: doc}, err
}

// Export returns all that there is as a document that makes the same again.
func (have *State) Export() *Document {
	doc := have.doc
	doc.Organization = &OrganizationSettings{Name: have.organization.Name, CustomerAttribute: have.organization.CustomerAttribute}
	for _, key := range sortedKeys(have.meters) {
		doc.Meters = append(doc.Meters, have.meters[key])
	}
	return doc
}

// Applied returns all nouns that there are when doc, which is valid by itself,
// is applied: with pruning those of doc, which must have entries, else those of doc over
// what there is.
func (have *State) Applied(doc *Document, prune bool) (*Document, error) {
	if prune {
		if doc.empty() { // an empty file is more likely a mistake than the wish to have nothing
			return nil, meter.Errorf(meter.KindInvalid, "a document without entries is not applied with prune: "+
				"it would remove all products, customers and entitlements; nothing was changed")
		}
		return doc, have.checkedReferences(doc, doc, planMeters(have, doc, true).Remove)
	}
	merged := merge(have.doc, doc)
	return merged, have.checkedReferences(doc, merged, nil)
}

// empty says whether the document has no entries: no meter and no noun.
func (doc *Document) empty() bool {
	units := doc.Units != nil && (doc.Units.Cloud != nil || doc.Units.Enterprise != nil || len(doc.Units.Rates) > 0)
	return !units && len(doc.Meters) == 0 && len(doc.Products) == 0 && len(doc.Customers) == 0 && len(doc.Entitlements) == 0
}

// Edited returns all nouns after a function has edited those that there are.
// The state is used up.
func (have *State) Edited(edit func(doc *Document) error) (*Document, error) {
	return have.edited(edit, func(p problems, doc *Document) error { return p.errIn(doc) })
}

// Without returns all nouns without one, a customer without all that is its
// own. One that others refer to is KindConflict, which names them. The state is used up.
func (have *State) Without(r NounRef) (*Document, error) {
	return have.edited(func(doc *Document) error {
		n, c, err := doc.nouns(r)
		if err != nil {
			return err
		}
		return n.remove(doc, c, r.ID)
	}, func(p problems, doc *Document) error {
		return meter.Errorf(meter.KindConflict, "%s is in use by %s", r, p.places(doc))
	})
}

// edited is Edited with its own way to say that references lead nowhere.
func (have *State) edited(edit func(*Document) error, dangling func(problems, *Document) error) (*Document, error) {
	edited := have.doc
	before := slices.Clone(edited.Entitlements)
	if err := edit(edited); err != nil {
		return nil, err
	}
	edited.keepListings(before)
	edited.Meters, edited.Organization = nil, nil
	if err := edited.Validate(); err != nil {
		return nil, err
	}
	p, err := have.checkReferences(edited, edited, nil)
	if err == nil && p.count > 0 {
		err = dangling(p, edited)
	}
	if err != nil {
		return nil, err
	}
	return edited, nil
}

// Move is a change of whom an entitlement bills, or for what.
type Move struct{ Entitlement, What, From, To string }

// Moves returns the changes of a plan that let an entitlement bill another,
// also of one that is made again under its id.
func (have *State) Moves(changes []Change) ([]Move, error) {
	past := map[string][]string{} // bodies by id, of those that are gone too
	for _, v := range have.versions {
		if v.Kind == NounEntitlement {
			past[v.ID] = append(past[v.ID], v.Body) // by time
		}
	}
	var moves []Move
	for i := range changes {
		c := &changes[i]
		if c.Noun != NounEntitlement || c.After == nil || len(past[c.ID]) == 0 {
			continue
		}
		var after Entitlement
		if err := json.Unmarshal(c.After, &after); err != nil {
			return nil, err
		}
		what, from, to, err := after.movedFrom(past[c.ID])
		if err != nil {
			return nil, meter.WrapError(meter.KindCorrupt, err, "the catalog is damaged: entitlement %s cannot be read", meter.Clip(c.ID))
		}
		if what != "" {
			moves = append(moves, Move{c.ID, what, from, to})
		}
	}
	return moves, nil
}

// movedFrom is moved, from the last of an entitlement's states. If that does
// not say which account it bills, the last one that did is asked for it: it
// must not become another's in two steps.
func (e *Entitlement) movedFrom(past []string) (what, from, is string, err error) {
	for i, body := range slices.Backward(past) {
		var before Entitlement
		if err := json.Unmarshal([]byte(body), &before); err != nil {
			return "", "", "", err
		}
		if i == len(past)-1 {
			if what, from, is = before.moved(e); what != "" {
				return what, from, is, nil
			}
		}
		if before.Account() != "" {
			if !before.SameBuyer(e) {
				return movedAccount, before.Account(), e.Account(), nil
			}
			break
		}
	}
	return "", "", "", nil
}

// checkReferences checks those of doc, which may lead to anything in all and
// to meters, but for those that go.
func (have *State) checkReferences(doc, all *Document, gone []string) (problems, error) {
	var meters []meter.Meter
	goes := setOf(gone)
	for i, m := range doc.Meters {
		if old, ok := have.meters[m.Key]; ok && !old.SameDefinition(m) {
			return problemAt(item("meters", i), "meter "+m.Key+" exists with another definition; a new definition needs a new key"), nil
		}
	}
	for key, m := range have.meters {
		if !goes[key] {
			meters = append(meters, m)
		}
	}
	s := scopeOf(all, meters)
	if err := have.beside.add(s); err != nil {
		return problems{}, err
	}
	return s.check(doc), nil
}

// checkedReferences is checkReferences with one error.
func (have *State) checkedReferences(doc, all *Document, gone []string) error {
	p, err := have.checkReferences(doc, all, gone)
	if err != nil {
		return err
	}
	return p.errIn(doc)
}

// Plan is a difference and all that is needed to make it.
type Plan struct {
	Diff  Diff
	Steps []Step // one for each of Diff.Changes
	Nouns int    // that there are then
	Old   Organization
	New   Organization
}

// BreaksNothing says whether what refers to nouns that the plan changes, and
// is right, stays so, wherever it is: none goes, and what is given up of others
// is nothing that a reference needs.
func (p *Plan) BreaksNothing() bool {
	return !slices.ContainsFunc(p.Diff.Changes, func(c Change) bool {
		switch {
		case c.After == nil:
			return true
		case c.Before == nil:
			return false
		}
		switch c.Noun {
		case NounContract: // CP codes of those that it names are under it
			var before, after Contract
			return json.Unmarshal(c.Before, &before) != nil || json.Unmarshal(c.After, &after) != nil ||
				slices.ContainsFunc(before.Customers, func(id string) bool { return !slices.Contains(after.Customers, id) })
		case NounAgent: // some kinds run no tests
			var before, after Agent
			return json.Unmarshal(c.Before, &before) != nil || json.Unmarshal(c.After, &after) != nil || before.Kind != after.Kind
		}
		return false
	})
}

// Step is a change of a noun that holds from an instant on, in microseconds since 1970.
type Step struct {
	NounRef
	From int64
	Seen bool // the noun has had versions
}

// Plan compares what there is with what shall be: doc has all nouns that there are then.
func (have *State) Plan(doc *Document, effective time.Time, prune bool) (*Plan, error) {
	p := &Plan{Old: have.organization, New: have.organization, Nouns: have.beside.Nouns}
	if o := doc.Organization; o != nil {
		if o.Name != "" {
			p.New.Name = o.Name
		}
		if o.CustomerAttribute != "" {
			p.New.CustomerAttribute = o.CustomerAttribute
		}
		if p.New != p.Old {
			p.Diff.Organization = &OrganizationSettings{Name: p.New.Name, CustomerAttribute: p.New.CustomerAttribute}
		}
	}
	p.Diff.Meters = planMeters(have, doc, prune)
	settled, starts, err := settleAgents(have.versions, doc, effective)
	if err != nil {
		return nil, err
	}
	put, gone, err := p.compare(have.versions, settled)
	if err != nil {
		return nil, err
	}
	for _, n := range append(put, gone...) {
		st := Step{NounRef: n.NounRef, From: effective.UnixMicro(), Seen: n.seen}
		if from, ok := starts[n.NounRef]; ok && n.change.After != nil {
			st.From = from
		}
		p.Diff.Changes = append(p.Diff.Changes, n.change)
		p.Steps = append(p.Steps, st)
	}
	return p, checkLicences(doc, p.Diff.Changes)
}

// changed is a noun that differs.
type changed struct {
	NounRef
	change Change
	seen   bool // it has had versions
}

// compare finds the nouns of a document that differ from the versions that hold
// now: what is new or other in order, and what is gone, the inner first. It
// counts those that there are then.
func (p *Plan) compare(versions []Version, doc *Document) (put, gone []changed, err error) {
	last := make(map[NounRef]int, len(versions)) // the version that holds now, or else any
	for i, v := range versions {
		if had, ok := last[v.NounRef]; !ok || !versions[had].current() {
			last[v.NounRef] = i
		}
	}
	stays := make([]bool, len(versions))
	err = flatten(doc, func(k NounRef, body []byte) {
		p.Nouns++
		n := changed{k, Change{Noun: k.Kind, Customer: k.Customer, ID: k.ID, Action: AuditCreate}, false}
		i, ok := last[k]
		n.seen = ok
		if ok && versions[i].current() {
			stays[i] = true
			if versions[i].Body == string(body) {
				return
			}
			n.change.Action, n.change.Before = AuditUpdate, json.RawMessage(versions[i].Body)
		}
		n.change.After = bytes.Clone(body)
		put = append(put, n)
	})
	if err != nil {
		return nil, nil, err
	}
	for i, v := range versions {
		if v.current() && !stays[i] {
			gone = append(gone, changed{v.NounRef, Change{Noun: v.Kind, Customer: v.Customer, ID: v.ID, Action: AuditDelete, Before: json.RawMessage(v.Body)}, true})
		}
	}
	slices.SortFunc(put, func(a, b changed) int { return compareKeys(a.NounRef, b.NounRef) })
	slices.SortFunc(gone, func(a, b changed) int { return compareKeys(b.NounRef, a.NounRef) })
	return put, gone, nil
}

func planMeters(have *State, doc *Document, prune bool) MeterDiff {
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
func settleAgents(versions []Version, doc *Document, effective time.Time) (*Document, map[NounRef]int64, error) {
	known := map[NounRef]Date{}
	for _, v := range versions {
		if v.Kind != NounAgent || !v.current() {
			continue
		}
		var a Agent
		if err := json.Unmarshal([]byte(v.Body), &a); err != nil {
			return nil, nil, err
		}
		known[v.NounRef] = a.Effective
	}
	starts := map[NounRef]int64{}
	settled := *doc
	settled.Customers = slices.Clone(doc.Customers)
	for i := range settled.Customers {
		c := &settled.Customers[i]
		c.Agents = slices.Clone(c.Agents)
		for j := range c.Agents {
			a := &c.Agents[j]
			key := NounRef{NounAgent, c.ID, a.ID}
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

// SameBuyer says whether two states of an entitlement bill the same buyer of a
// marketplace, or one of them does not say yet whom. AWS names one by its account
// with a licence or without.
func (e *Entitlement) SameBuyer(o *Entitlement) bool {
	mine, other := e.Account(), o.Account()
	if mine == "" || other == "" || mine == other {
		return true
	}
	return e.Partner == PartnerAWS && o.Partner == PartnerAWS && e.AWS.AccountID != "" && e.AWS.AccountID == o.AWS.AccountID && e.AWS.ProductCode == o.AWS.ProductCode
}

const movedAccount = "marketplace account"

// moved names what differs between two states of an entitlement of whom it
// bills and for what, and how both have it; "" if nothing does.
func (e *Entitlement) moved(to *Entitlement) (what, from, is string) {
	for _, p := range []struct{ what, from, is string }{
		{"customer", e.Customer, to.Customer}, {"buyer", e.BuyerID(), to.BuyerID()}, {"partner", e.Partner, to.Partner}, {"product", e.Product, to.Product},
	} {
		if p.from != p.is {
			return p.what, p.from, p.is
		}
	}
	if !e.SameBuyer(to) {
		return movedAccount, e.Account(), to.Account()
	}
	return "", "", ""
}
