package store

import (
	"context"
	"odometer/internal/catalog"
)

// View returns all of the organization's nouns as they are now. It reads one
// number from the database, and everything else only after a change; or always,
// of an organization that has many. Who asks for few of them asks ViewOf.
func (s *Store) View(ctx context.Context, organization string) (*catalog.View, error) {
	number, err := s.nounsVersion(ctx, organization)
	if err != nil {
		return nil, err
	}
	if have, _ := s.held(organization); have != nil && have.number >= number {
		return have.view, nil
	}
	if view, err := s.wholeView(ctx, organization, number); view != nil || err != nil {
		return view, err
	}
	versions, err := loadNouns(ctx, s.reader, organization)
	if err != nil {
		return nil, s.Fail(err, "cannot read the catalog")
	}
	return catalog.NewView(versions)
}

// wholeView returns the view of all nouns as of a change or a later one; nil if
// they are many.
func (s *Store) wholeView(ctx context.Context, organization string, number int64) (*catalog.View, error) {
	have, reading := s.held(organization)
	if have != nil && have.number >= number {
		return have.view, nil
	}
	// One request reads what changed; the others wait for it.
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	case <-ctx.Done():
		return nil, s.Fail(ctx.Err(), "cannot read the catalog")
	}
	if have, _ = s.held(organization); have != nil && have.number >= number {
		return have.view, nil
	}
	many, err := s.countMany(ctx, organization)
	if err != nil || many {
		return nil, err
	}
	// What is read may be newer than number; the next call then reads again.
	versions, err := loadNouns(ctx, s.reader, organization)
	if err != nil {
		return nil, s.Fail(err, "cannot read the catalog")
	}
	fresh, err := catalog.NewView(versions)
	if err != nil {
		return nil, err
	}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	s.cache.putWhole(organization, &heldView{number, fresh, sizeOf(versions)})
	return fresh, nil
}

// countMany says whether an organization has too many nouns, with those that
// there were, that a view of all is held. It then does for as long as the store is open.
func (s *Store) countMany(ctx context.Context, organization string) (bool, error) {
	s.viewsMu.Lock()
	many := s.many[organization]
	s.viewsMu.Unlock()
	if many {
		return true, nil
	}
	var n int
	if err := s.reader.QueryRowContext(ctx, stmt.NounsMany, organization, s.limits.NounsHeld+1).Scan(&n); err != nil {
		return false, s.Fail(err, "cannot read the catalog")
	}
	if n <= s.limits.NounsHeld {
		return false, nil
	}
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	s.many[organization] = true
	s.cache.drop(s.cache.organization(organization).items[nounKey{what: cachedView}])
	return true, nil
}

// held returns the view that was read last, nil if none was, and what to
// hold while another is read.
func (s *Store) held(organization string) (*heldView, chan struct{}) {
	s.viewsMu.Lock()
	defer s.viewsMu.Unlock()
	reading := s.readers[organization]
	if reading == nil {
		reading = make(chan struct{}, 1)
		s.readers[organization] = reading
	}
	return s.cache.whole(organization), reading
}
