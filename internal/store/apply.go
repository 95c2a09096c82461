package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// Apply makes the organization's nouns what the document says, all or nothing,
// and returns what changed; applying it again changes nothing. A noun that is
// in the document is as the document says in all its fields; one that is not
// stays, or is removed by pruning. Removal is soft: history keeps the noun.
//
// Meters are left to the caller, who creates those of Diff.Meters in the ledger
// first; a dry run tells them. References are to what the document has or the
// catalog keeps. Each change leaves an audit entry. Errors of the document
// are KindInvalid and name its lines.
func (s *Store) Apply(ctx context.Context, organization string, doc *catalog.Document, opt catalog.ApplyOptions) (catalog.Diff, error) {
	if err := doc.ValidateFor(organization); err != nil {
		return catalog.Diff{}, err
	}
	var named *catalog.Named
	if !opt.Prune {
		names, err := doc.Names()
		if err != nil {
			return catalog.Diff{}, err
		}
		named = &names
	}
	s.recallSound(ctx, organization)
	return s.change(ctx, organization, opt, &nounChange{named: named != nil}, named, func(have *catalog.State) (*catalog.Document, error) { return have.Applied(doc, opt.Prune) })
}

// Edit changes nouns as a function edits the document of all that there are;
// what it removes from it is removed. It is the way of callers that change one
// noun, and all that is said of Apply holds for it. The document's meters and
// organization are left as they are.
func (s *Store) Edit(ctx context.Context, organization string, opt catalog.ApplyOptions, edit func(doc *catalog.Document) error) (catalog.Diff, error) {
	return s.change(ctx, organization, opt, &nounChange{}, nil, func(have *catalog.State) (*catalog.Document, error) { return have.Edited(edit) })
}

// Export returns the organization as a document that Apply reproduces exactly.
// It is for those that are small: see ExportParts.
func (s *Store) Export(ctx context.Context, organization string) (*catalog.Document, error) {
	doc := new(catalog.Document)
	err := s.ExportParts(ctx, organization, func() {}, func(walk catalog.Walk) error {
		return walk(func(part *catalog.Document) error {
			doc.Add(part)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return doc, nil
}

func (s *Store) readState(ctx context.Context, q Queryer, organization string) (*catalog.State, error) {
	o, meters, err := readHead(ctx, q, organization)
	if err != nil {
		return nil, err
	}
	versions, err := loadNouns(ctx, q, organization)
	if err != nil {
		return nil, err
	}
	return catalog.NewState(o, meters, versions)
}

// readHead reads an organization and its meters by key.
func readHead(ctx context.Context, q Queryer, organization string) (o catalog.Organization, meters map[string]meter.Meter, err error) {
	if o, err = GetOrganization(ctx, q, organization); err != nil {
		return o, nil, err
	}
	copies, err := List(ctx, q, scanMeter, stmt.MeterList, organization, "", math.MaxInt)
	if err != nil {
		return o, nil, err
	}
	meters, err = definitions(copies)
	return o, meters, err
}

// definitions are the meters of copies by key.
func definitions(copies []MeterCopy) (map[string]meter.Meter, error) {
	meters := make(map[string]meter.Meter, len(copies))
	for _, c := range copies {
		var m meter.Meter
		if err := json.Unmarshal(c.Definition, &m); err != nil {
			return nil, meter.WrapError(meter.KindCorrupt, err, "the copy of meter %s cannot be read", c.Key)
		}
		meters[c.Key] = m
	}
	return meters, nil
}

// change makes the nouns what target returns of those that there are. If it
// changes one noun, only the part that this touches is read, where that is
// enough; if it changes no others than those that are named, only they are, where they are few of all.
func (s *Store) change(ctx context.Context, organization string, opt catalog.ApplyOptions, one *nounChange, named *catalog.Named, target func(*catalog.State) (*catalog.Document, error)) (catalog.Diff, error) {
	now := s.Now()
	effective := opt.Effective.UTC().Truncate(time.Microsecond)
	if opt.Effective.IsZero() {
		effective = now
	}
	if effective.After(now) {
		return catalog.Diff{}, meter.Errorf(meter.KindInvalid, "effective is in the future")
	}
	if err := catalog.CheckActor(opt.Actor); err != nil {
		return catalog.Diff{}, err
	}
	var p *catalog.Plan
	makePlan := func(q Queryer) error {
		if one.ref.Kind != "" {
			var err error
			if p, err = s.planOne(ctx, q, organization, effective, one); err != nil || p != nil {
				return err
			}
		}
		have, err := s.readFor(ctx, q, organization, named)
		if err != nil {
			return err
		}
		doc, err := target(have)
		if err != nil {
			return err
		}
		p, err = have.Plan(doc, effective, opt.Prune)
		if err == nil {
			err = checkMoves(ctx, q, organization, have, p.Diff.Changes)
		}
		if err == nil && p.Nouns > s.limits.Nouns {
			err = meter.Errorf(meter.KindTooLarge, "the organization would have %d nouns, more than %d", p.Nouns, s.limits.Nouns)
		}
		return err
	}
	if opt.DryRun {
		err := s.snapshot(ctx, "compare the catalog", func(q executor) error {
			if err := makePlan(q); err != nil {
				return err
			}
			return s.takeAccounts(ctx, q, p, true)
		})
		if err != nil {
			return catalog.Diff{}, err
		}
		return p.Diff, nil
	}
	var touches *touched
	done := func() {}
	defer func() { done() }()
	err := s.Write(ctx, "change the catalog", func(tx *sql.Tx) error {
		if err := makePlan(tx); err != nil {
			return err
		}
		if err := s.takeAccounts(ctx, tx, p, false); err != nil {
			return err
		}
		sound, err := s.staysSound(ctx, tx, organization, one, p)
		if err != nil {
			return err
		}
		if touches, err = s.perform(ctx, tx, p, opt.Actor); err != nil || !sound {
			return err
		}
		if err := s.noteSound(ctx, tx, organization, one); err != nil {
			return err
		}
		done, err = s.holdView(ctx, organization, one)
		return err
	})
	if err == nil {
		s.changedView(organization, one, touches)
		return p.Diff, nil
	}
	return catalog.Diff{}, err
}

// perform makes a plan's changes in a transaction, and says what they touch; nil = no noun.
func (s *Store) perform(ctx context.Context, tx *sql.Tx, p *catalog.Plan, actor string) (*touched, error) {
	id := p.Old.ID
	if p.New != p.Old {
		if err := p.New.Validate(); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, stmt.OrganizationUpdate, id, p.New.Name, p.New.CustomerAttribute); err != nil {
			return nil, err
		}
		if err := s.Audit(ctx, tx, Entry{id, actor, catalog.AuditUpdate, "organization", id, p.Old, p.New}); err != nil {
			return nil, err
		}
	}
	if len(p.Steps) == 0 {
		return nil, nil
	}
	if err := s.makeSteps(ctx, tx, p); err != nil {
		return nil, err
	}
	entries := make([]Entry, len(p.Steps))
	for i, st := range p.Steps {
		c := p.Diff.Changes[i]
		entries[i] = Entry{Organization: id, Actor: actor, Action: c.Action, Noun: c.Noun, ID: st.Path()}
		if c.Before != nil {
			entries[i].Before = rendered(c.Before)
		}
		if c.After != nil {
			entries[i].After = rendered(c.After)
		}
	}
	if err := s.auditAll(ctx, tx, id, entries); err != nil {
		return nil, err
	}
	if err := s.noteChanges(ctx, tx, id, p.Diff.Changes); err != nil {
		return nil, err
	}
	return touchedBy(ctx, tx, id, p.Diff.Changes)
}

// makeSteps writes the versions of the plan's nouns, which may be many: what
// ends first, and then what begins, many at a time. Each noun has one step, so
// that their order does not matter.
func (s *Store) makeSteps(ctx context.Context, tx *sql.Tx, p *catalog.Plan) error {
	if err := endReplaced(ctx, tx, p); err != nil {
		return err
	}
	var begin []any
	for i, st := range p.Steps {
		if p.Diff.Changes[i].Action == catalog.AuditDelete {
			continue
		}
		from := int64(catalog.Always)
		if st.Seen {
			from = st.From
		}
		begin = append(begin, p.Old.ID, st.Kind, st.Customer, st.ID, from, string(p.Diff.Changes[i].After))
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

// endReplaced ends the versions of the plan's nouns that there are.
func endReplaced(ctx context.Context, tx *sql.Tx, p *catalog.Plan) error {
	var ids []string
	var of catalog.Step // of ids
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		err := endVersions(ctx, tx, p.Old.ID, of.NounRef, ids, of.From)
		ids = ids[:0]
		return err
	}
	for _, st := range p.Steps {
		if !st.Seen {
			continue
		}
		if len(ids) == maxEnded || of.Kind != st.Kind || of.Customer != st.Customer || of.From != st.From {
			if err := flush(); err != nil {
				return err
			}
		}
		of = st
		ids = append(ids, st.ID)
	}
	return flush()
}
