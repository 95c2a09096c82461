package store

import (
	"context"
	"odometer/internal/catalog"
)

// heldView is a view as of one change.
type heldView struct {
	number int64
	view   *catalog.View
}

// View returns the organization's nouns as they are now. It reads one number
// from the database, and everything else only after a change.
func (s *Store) View(ctx context.Context, organization string) (*catalog.View, error) {
	number, err := s.nounsVersion(ctx, organization)
	if err != nil {
		return nil, err
	}
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
	if have := s.views[organization]; have == nil || have.number < number {
		s.views[organization] = &heldView{number, fresh}
	}
	return fresh, nil
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
	return s.views[organization], reading
}
