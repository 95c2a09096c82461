package store

import (
	"bytes"
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"

	"odometer/internal/catalog"
	"odometer/internal/meter"
)

// nounChange is a change of one noun, or of many.
type nounChange struct {
	ref    catalog.NounRef // without an id for what is added; without a kind for many
	named  bool            // of many, that what a document has was checked, and nothing else
	fields catalog.NounFields
	do     func(doc *catalog.Document, fields *catalog.NounFields) error // nil = the noun is removed

	// What comes of it: the change is in a transaction until it is committed.
	number int64         // of the nouns as they are then
	view   *catalog.View // of them; nil = it has to be read, or is not held
	grows  int64         // bytes that it takes more than the one before, about
	sound  *soundNouns   // what is known of them; nil = no more than before
}

// soundNouns says that an organization's nouns are right, all of them, and
// stored as this program stores them: a change of one then need not look at
// the others. Reading all of them for a change finds it out, and a document keeps it so.
type soundNouns struct {
	number int64 // of the change that they are as of
	copies []MeterCopy
	meters map[string]meter.Meter
	by     string // of soundBy
}

// changeOne makes a change of one noun.
func (s *Store) changeOne(ctx context.Context, organization string, opt catalog.ApplyOptions, one *nounChange) (catalog.Diff, error) {
	s.recallSound(ctx, organization)
	s.recallView(ctx, organization)
	return s.change(ctx, organization, opt, one, nil, func(have *catalog.State) (*catalog.Document, error) {
		if one.do == nil {
			return have.Without(one.ref)
		}
		return have.Edited(func(doc *catalog.Document) error { return one.do(doc, &one.fields) })
	})
}

// planOne plans a change by what it touches; nil if all nouns have to be read
// for it, which also says what is wrong with a change.
func (s *Store) planOne(ctx context.Context, q Queryer, organization string, effective time.Time, one *nounChange) (*catalog.Plan, error) {
	sound, err := s.soundNow(ctx, q, organization)
	if err != nil || sound == nil {
		return nil, err
	}
	ref := one.ref
	if ref.ID == "" && one.do != nil {
		ref.ID, _ = catalog.NewID(ref, one.fields)
	}
	of, ok := catalog.PartOf(ref)
	if !ok {
		return nil, nil
	}
	o, err := GetOrganization(ctx, q, organization)
	if err != nil {
		return nil, err
	}
	versions, err := loadPart(ctx, q, organization, of)
	if err != nil {
		return nil, err
	}
	whole := false
	part, err := catalog.NewPart(o, sound.meters, of, versions, func(want catalog.Want) (view *catalog.View, err error) {
		view, whole, err = s.viewNow(ctx, q, organization, sound.number, want)
		return view, err
	})
	if err != nil { // reading all nouns says what is damaged
		return nil, nil
	}
	var doc *catalog.Document
	if one.do == nil {
		doc, ok = part.Without(one.ref)
	} else {
		fields := one.fields // they are left for all nouns
		doc, ok = part.Edited(func(doc *catalog.Document) error { return one.do(doc, &fields) })
	}
	if !ok {
		return nil, nil
	}
	p, ok := part.Plan(doc, effective)
	if !ok || p.Nouns > s.limits.Nouns {
		return nil, nil
	}
	if err := checkMoves(ctx, q, organization, part.State(), p.Diff.Changes); err != nil {
		return nil, err
	}
	s.partly.Add(1)
	one.fields = catalog.NounFields{}
	one.number, one.sound = sound.number, &soundNouns{sound.number, sound.copies, sound.meters, sound.by}
	if len(p.Steps) > 0 {
		one.number++
		one.sound.number++
		if whole && p.Nouns <= s.limits.NounsHeld {
			if one.view, ok = part.Changed(p); !ok {
				one.view = nil
			}
			for _, c := range p.Diff.Changes {
				one.grows += nounBytes + int64(2*len(c.After))
			}
		}
	}
	return p, nil
}

// soundNow returns what is known of an organization's nouns if they are sound as
// of the change that a transaction sees, with its meters; nil if that is not known.
func (s *Store) soundNow(ctx context.Context, q Queryer, organization string) (*soundNouns, error) {
	s.viewsMu.Lock()
	sound := s.sound[organization]
	s.viewsMu.Unlock()
	if sound == nil {
		return nil, nil
	}
	var number int64
	if err := q.QueryRowContext(ctx, stmt.NounsVersion, organization).Scan(&number); err != nil || number != sound.number {
		return nil, err
	}
	copies, err := List(ctx, q, scanMeter, stmt.MeterList, organization, "", math.MaxInt)
	if err != nil {
		return nil, err
	}
	return sound.with(copies, s.soundBy(copies))
}

// with is what is known of nouns, with the copies of meters that there are now:
// a new meter is in nobody's way. It is nil if one that there was has changed, or is gone.
func (sound *soundNouns) with(copies []MeterCopy, by string) (*soundNouns, error) {
	same := 0
	for _, c := range copies {
		i, had := slices.BinarySearchFunc(sound.copies, c.Key, func(c MeterCopy, key string) int { return strings.Compare(c.Key, key) })
		if had && bytes.Equal(sound.copies[i].Definition, c.Definition) {
			same++
		} else if had {
			return nil, nil
		}
	}
	switch {
	case same < len(sound.copies):
		return nil, nil
	case same == len(copies):
		return sound, nil
	}
	meters, err := definitions(copies)
	return &soundNouns{sound.number, copies, meters, by}, err
}

// viewNow returns a view as of the change that a transaction sees, which has
// changed no nouns yet: the one of all, if that is held, or of an organization
// with many nouns what is wanted of them; else nil.
func (s *Store) viewNow(ctx context.Context, q Queryer, organization string, number int64, want catalog.Want) (view *catalog.View, whole bool, err error) {
	s.viewsMu.Lock()
	have, many := s.cache.whole(organization), s.many[organization]
	s.viewsMu.Unlock()
	if have != nil && have.number == number {
		return have.view, true, nil
	}
	if !many {
		return nil, false, nil
	}
	_, nouns, err := s.nounsTotal(ctx, q, organization)
	if err != nil {
		return nil, false, err
	}
	g := &gathering{s: s, q: q, organization: organization, number: number}
	g.begin()
	view, err = g.view(ctx, want, nouns)
	return view, false, err
}

// staysSound says whether all nouns are sound after a plan, which is not made
// yet: of a document without prune only if they were, and it breaks nothing that it has not.
func (s *Store) staysSound(ctx context.Context, tx *sql.Tx, organization string, one *nounChange, p *catalog.Plan) (bool, error) {
	if !one.named {
		return true, nil
	}
	if len(p.Diff.Meters.Create) > 0 || !p.BreaksNothing() {
		return false, nil
	}
	_, nouns, err := s.nounsTotal(ctx, tx, organization)
	if err != nil || nouns == 0 {
		return err == nil, err
	}
	sound, err := s.soundNow(ctx, tx, organization)
	return sound != nil, err
}

// noteSound notes that all nouns are sound, and keeps it.
func (s *Store) noteSound(ctx context.Context, tx *sql.Tx, organization string, one *nounChange) error {
	if one.sound != nil {
		return s.keepSound(ctx, tx, organization, one.sound)
	}
	sound := &soundNouns{}
	if err := tx.QueryRowContext(ctx, stmt.NounsVersion, organization).Scan(&sound.number); err != nil {
		return err
	}
	var err error
	if sound.copies, err = List(ctx, tx, scanMeter, stmt.MeterList, organization, "", math.MaxInt); err != nil {
		return err
	}
	if sound.meters, err = definitions(sound.copies); err != nil {
		return err
	}
	sound.by = s.soundBy(sound.copies)
	one.sound = sound
	return s.keepSound(ctx, tx, organization, sound)
}

// holdView lets nobody read the nouns of an organization while a change is
// committed whose view is known: who asks for it then is given that one.
func (s *Store) holdView(ctx context.Context, organization string, one *nounChange) (done func(), err error) {
	if one.view == nil {
		return func() {}, nil
	}
	_, reading := s.held(organization)
	select {
	case reading <- struct{}{}:
		return func() { <-reading }, nil
	case <-ctx.Done():
		return func() {}, s.Fail(ctx.Err(), "cannot change the catalog")
	}
}

// changedView takes over what a change left, of one noun or of many.
func (s *Store) changedView(organization string, one *nounChange, touches *touched) {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	if touches != nil {
		s.cache.changed(organization, touches.number, touches)
	}
	if one.sound == nil {
		return
	}
	if s.sound[organization] == nil || s.sound[organization].number < one.sound.number {
		s.sound[organization] = one.sound
	}
	if one.view != nil {
		size := int64(0)
		if have := s.cache.whole(organization); have != nil {
			size = have.size
		}
		s.cache.putWhole(organization, &heldView{one.number, one.view, size + one.grows})
	}
}

// loadPart reads the versions of a part's nouns.
func loadPart(ctx context.Context, q Queryer, organization string, of catalog.NounRef) ([]catalog.Version, error) {
	versions, err := List(ctx, q, scanVersion, stmt.NounVersions, organization, of.Kind, of.ID)
	if err != nil || of.Kind != catalog.NounCustomer {
		return versions, err
	}
	own, err := List(ctx, q, scanVersion, stmt.NounsOwn, organization, of.ID)
	return append(versions, own...), err
}
