package records

import (
	"context"
	"math"

	"odometer/internal/billing"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// RecordGroups lists the groups that the filter chooses, the newest first, from
// offset on. An offset counts the groups that all of the filter but Status
// chooses: a status changes, so that counting by it would pass over groups that
// stay while others leave. With Match it reads at most Limits.GroupsMatched
// groups; more is KindTooLarge.
func (s *Store) RecordGroups(ctx context.Context, organization string, f billing.RecordGroupFilter, offset, limit int) (billing.RecordGroupPage, error) {
	switch {
	case f.Match != nil:
		return s.matchGroups(ctx, organization, f, offset, limit)
	case f.Status != "":
		return s.groupsOfStatus(ctx, organization, f, offset, limit)
	}
	page := billing.RecordGroupPage{}
	var err error
	page.Items, err = s.listGroups(ctx, organization, f, place{}, offset, limit+1)
	cutPage(&page, offset, limit)
	return page, err
}

// place is where a group stands in a list; the zero place is before all.
type place struct {
	created int64 // microseconds
	serial  int32
}

func placeOf(g billing.RecordGroup) place { return place{g.Created.UnixMicro(), g.Serial} }

// listGroups lists groups from a place on, after skipping some.
func (s *Store) listGroups(ctx context.Context, organization string, f billing.RecordGroupFilter, from place, skip, limit int) ([]billing.RecordGroup, error) {
	if from == (place{}) {
		from = place{math.MaxInt64, math.MaxInt32}
	}
	query := stmt.RecordGroupList
	if f.Entitlement != "" { // the narrowest index
		query = stmt.RecordGroupListEntitlement
	}
	groups, err := store.List(ctx, s.db.Reader(), scanRecordGroup, query, organization, store.Micros(f.From), store.Micros(f.To),
		f.Partner, f.Buyer, f.Entitlement, f.Status, f.Source, f.Customer, f.Product, limit, skip, from.created, from.serial)
	if err != nil {
		return nil, s.db.Fail(err, "cannot list usage record groups")
	}
	return groups, nil
}

// groupsOfStatus is RecordGroups of one status: from the group at the offset on,
// whatever that one's status is.
func (s *Store) groupsOfStatus(ctx context.Context, organization string, f billing.RecordGroupFilter, offset, limit int) (billing.RecordGroupPage, error) {
	page := billing.RecordGroupPage{Items: []billing.RecordGroup{}, Next: offset}
	every := f
	every.Status = ""
	first, err := s.listGroups(ctx, organization, every, place{}, offset, 1)
	if err != nil || len(first) == 0 {
		return page, err
	}
	from := placeOf(first[0])
	if page.Items, err = s.listGroups(ctx, organization, f, from, 0, limit+1); err != nil || len(page.Items) == 0 {
		return page, err
	}
	cutPage(&page, offset, limit)
	if page.More {
		last := placeOf(page.Items[limit-1])
		var passed int
		err = s.db.Reader().QueryRowContext(ctx, stmt.RecordGroupBetween, organization, f.Partner, f.Buyer, f.Entitlement, f.Source, f.Customer, f.Product,
			from.created, from.serial, last.created, last.serial).Scan(&passed)
		if err != nil {
			return billing.RecordGroupPage{}, s.db.Fail(err, "cannot list usage record groups")
		}
		page.Next = offset + passed
	}
	return page, nil
}

// matchGroups is RecordGroups where each group is looked at.
func (s *Store) matchGroups(ctx context.Context, organization string, f billing.RecordGroupFilter, offset, limit int) (billing.RecordGroupPage, error) {
	query := stmt.RecordGroupList
	if f.Entitlement != "" {
		query = stmt.RecordGroupListEntitlement
	}
	rows, err := s.db.Reader().QueryContext(ctx, query, organization, store.Micros(f.From), store.Micros(f.To),
		f.Partner, f.Buyer, f.Entitlement, "", f.Source, f.Customer, f.Product, s.db.Limits().GroupsMatched+1, 0, int64(math.MaxInt64), int32(math.MaxInt32))
	if err != nil {
		return billing.RecordGroupPage{}, s.db.Fail(err, "cannot list usage record groups")
	}
	defer rows.Close()
	page := billing.RecordGroupPage{Items: []billing.RecordGroup{}}
	at := 0 // among those that match, whatever their status
	for read := 1; rows.Next(); read++ {
		g, err := scanRecordGroup(rows)
		switch {
		case err != nil:
			return billing.RecordGroupPage{}, s.db.Fail(err, "cannot list usage record groups")
		case read > s.db.Limits().GroupsMatched:
			return billing.RecordGroupPage{}, meter.Errorf(meter.KindTooLarge, "more than %d usage record groups would be looked at: choose fewer days", s.db.Limits().GroupsMatched)
		case !f.Match(&g):
			continue
		}
		at++
		if at <= offset || f.Status != "" && g.Status != f.Status {
			continue
		}
		if len(page.Items) == limit {
			page.More = true
			break
		}
		page.Items = append(page.Items, g)
		page.Next = at
	}
	if err := rows.Err(); err != nil {
		return billing.RecordGroupPage{}, s.db.Fail(err, "cannot list usage record groups")
	}
	return page, nil
}

// cutPage leaves limit groups of a page, whose next page begins after them.
func cutPage(p *billing.RecordGroupPage, offset, limit int) {
	if len(p.Items) > limit {
		p.Items, p.More = p.Items[:limit], true
	}
	p.Next = offset + len(p.Items)
}
