package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"odometer/internal/billing"
	"odometer/internal/catalog"
	"odometer/internal/meter"
	"odometer/internal/store"
)

// groupColumns are the parameters of one group in RecordGroupCreate.
const groupColumns = 19

// groupSpan is the answer that is kept for an idempotency key.
type groupSpan struct{ First, Last int32 }

// CreateRecordGroups stores groups in one step, in order, and returns them
// with serial and times. An id that was ever used, also by a deleted group, is
// KindConflict and nothing is stored. With an idempotency key that was used
// before it returns the groups of then, as they are now.
func (s *Store) CreateRecordGroups(ctx context.Context, organization string, groups []billing.RecordGroup, once billing.Idempotency) (made []billing.RecordGroup, repeated bool, err error) {
	if len(groups) == 0 || len(groups) > billing.MaxGroups {
		return nil, false, meter.Errorf(meter.KindTooLarge, "%d usage record groups: want 1 to %d", len(groups), billing.MaxGroups)
	}
	for i := range groups {
		if groups[i].Name == "" {
			groups[i].Name = groups[i].ID
		}
		if !meter.PlainText(groups[i].ID, billing.MaxGroupIDBytes) || !meter.PlainText(groups[i].Name, billing.MaxGroupIDBytes) {
			return nil, false, meter.Errorf(meter.KindInvalid, "the id of a usage record group is 1 to %d bytes of UTF-8 without control characters", billing.MaxGroupIDBytes)
		}
	}
	if err := once.Validate(); err != nil {
		return nil, false, err
	}
	err = s.db.Write(ctx, "store the usage record groups", func(tx *sql.Tx) error {
		var span groupSpan
		if repeated, err = s.repeated(ctx, tx, organization, once, &span); err != nil {
			return err
		}
		if !repeated && once.Customer != "" {
			if repeated, err = s.repeatedBefore(ctx, tx, organization, once, &span); err != nil {
				return err
			}
		}
		if repeated {
			made, err = store.List(ctx, tx, scanRecordGroup, stmt.RecordGroupSpan, organization, span.First, span.Last)
			return err
		}
		made, err = s.insertGroups(ctx, tx, organization, groups)
		if err != nil {
			return err
		}
		return s.keep(ctx, tx, organization, once, groupSpan{made[0].Serial, made[len(made)-1].Serial})
	})
	return made, repeated, err
}

// repeatedBefore looks for what was kept for the organization as a whole: before
// keys of customers had scopes of their own. It counts if it is the same
// request, and all that it made is the customer's.
func (s *Store) repeatedBefore(ctx context.Context, tx *sql.Tx, organization string, once billing.Idempotency, span *groupSpan) (bool, error) {
	customer := once.Customer
	once.Customer = ""
	had, err := s.repeated(ctx, tx, organization, once, span)
	if meter.KindOf(err) == meter.KindConflict && err != nil { // somebody else's, of which nothing is told
		return false, nil
	}
	if err != nil || !had {
		return false, err
	}
	made, err := store.List(ctx, tx, scanRecordGroup, stmt.RecordGroupSpan, organization, span.First, span.Last)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(made, func(g billing.RecordGroup) bool { return g.Customer != customer }), nil
}

func (s *Store) insertGroups(ctx context.Context, tx *sql.Tx, organization string, groups []billing.RecordGroup) ([]billing.RecordGroup, error) {
	var serial int64
	if err := tx.QueryRowContext(ctx, stmt.RecordGroupSerial, organization).Scan(&serial); err != nil {
		return nil, err
	}
	if serial+int64(len(groups)) > math.MaxInt32 {
		return nil, meter.Errorf(meter.KindStorageFull, "the organization has had %d usage record groups, the most there can be", serial)
	}
	now := s.db.Now()
	made := make([]billing.RecordGroup, len(groups))
	bulk := s.db.BulkRows(groupColumns)
	whole, err := tx.PrepareContext(ctx, store.RepeatValues(stmt.RecordGroupCreate, groupColumns, bulk))
	if err != nil {
		return nil, err
	}
	defer func() { _ = whole.Close() }()
	for first := 0; first < len(groups); first += bulk {
		part := groups[first:min(first+bulk, len(groups))]
		args := make([]any, 0, groupColumns*len(part))
		for i, g := range part {
			serial++
			g.Serial, g.Created, g.Updated = int32(serial), now, now
			made[first+i] = g
			more, err := groupArgs(organization, g)
			if err != nil {
				return nil, err
			}
			args = append(args, more...)
		}
		var done sql.Result
		if len(part) == bulk {
			done, err = whole.ExecContext(ctx, args...)
		} else {
			done, err = tx.ExecContext(ctx, store.RepeatValues(stmt.RecordGroupCreate, groupColumns, len(part)), args...)
		}
		if err != nil {
			return nil, err
		}
		if n, err := done.RowsAffected(); err != nil || n != int64(len(part)) {
			return nil, errors.Join(err, s.taken(ctx, tx, organization, made[:first+len(part)]))
		}
	}
	return made, nil
}

// taken says which of the ids is used already.
func (s *Store) taken(ctx context.Context, tx *sql.Tx, organization string, groups []billing.RecordGroup) error {
	for _, g := range groups {
		had, err := getRecordGroup(ctx, tx, organization, g.ID)
		if meter.KindOf(err) == meter.KindNotFound && err != nil {
			had, err = getNamedGroup(ctx, tx, organization, g.Name, g.Entitlement)
		}
		if err == nil && had.Serial != g.Serial {
			return meter.Errorf(meter.KindConflict, "usage record group %q exists already, its status is %s", meter.Clip(had.Name), had.Status)
		}
	}
	return meter.Errorf(meter.KindConflict, "an id is given twice")
}

func groupArgs(organization string, g billing.RecordGroup) ([]any, error) {
	var err error
	encode := func(v any) string {
		text, failed := json.Marshal(v)
		err = errors.Join(err, failed)
		return string(text)
	}
	return []any{organization, g.ID, g.Serial, g.Entitlement, g.Customer, g.Buyer, g.Partner, g.Product, g.Status,
		store.Micros(g.Usage), store.Micros(g.Created), store.Micros(g.Updated), g.Source, encode(quantities(g.Origin)), encode(quantities(g.Records)),
		encode(orNone(g.Billable)), g.Message, int64(g.Posted), g.Name}, err
}

// orNone is a list also where there is none.
func orNone(records []billing.BillableRecord) []billing.BillableRecord {
	if records == nil {
		return []billing.BillableRecord{}
	}
	return records
}

// quantities is an object also where there is none.
func quantities(m map[string]meter.Decimal) map[string]meter.Decimal {
	if m == nil {
		return map[string]meter.Decimal{}
	}
	return m
}

// RecordGroup returns one group, or KindNotFound.
func (s *Store) RecordGroup(ctx context.Context, organization, id string) (billing.RecordGroup, error) {
	g, err := getRecordGroup(ctx, s.db.Reader(), organization, id)
	if err != nil {
		return billing.RecordGroup{}, s.db.Fail(err, "cannot read the usage record group")
	}
	return g, nil
}

func getRecordGroup(ctx context.Context, q store.Queryer, organization, id string) (billing.RecordGroup, error) {
	g, err := scanRecordGroup(q.QueryRowContext(ctx, stmt.RecordGroupGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return g, meter.Errorf(meter.KindNotFound, "no usage record group %q", meter.Clip(id))
	}
	return g, err
}

// NamedGroup returns the group that a reporter calls name. customer is the one
// that its key is bound to: it sees its own, and those of its customer that
// others reported; "" sees all, its own first. Where several customers'
// reporters call one so, and none of them is the asker, that is KindConflict.
func (s *Store) NamedGroup(ctx context.Context, organization, customer, name string) (billing.RecordGroup, error) {
	g, err := getRecordGroup(ctx, s.db.Reader(), organization, billing.GroupID(customer, name))
	if err == nil && (customer != "" || g.Name == name) {
		return g, nil
	}
	none := meter.Errorf(meter.KindNotFound, "no usage record group %q", meter.Clip(name))
	switch {
	case err != nil && meter.KindOf(err) != meter.KindNotFound:
		return billing.RecordGroup{}, s.db.Fail(err, "cannot read the usage record group")
	case customer != "":
		if g, err = getRecordGroup(ctx, s.db.Reader(), organization, name); err == nil && g.Name == name && g.Customer == customer {
			return g, nil
		}
	default:
		if g, err = getNamedGroup(ctx, s.db.Reader(), organization, name, ""); err == nil {
			return g, nil
		}
	}
	if err == nil || meter.KindOf(err) == meter.KindNotFound {
		return billing.RecordGroup{}, none
	}
	return billing.RecordGroup{}, s.db.Fail(err, "cannot read the usage record group")
}

// getNamedGroup returns the only group of a name, of one entitlement if it is not "".
func getNamedGroup(ctx context.Context, q store.Queryer, organization, name, entitlement string) (billing.RecordGroup, error) {
	found, err := store.List(ctx, q, scanRecordGroup, stmt.RecordGroupNamed, organization, name, entitlement)
	switch {
	case err != nil:
		return billing.RecordGroup{}, err
	case len(found) == 0:
		return billing.RecordGroup{}, meter.Errorf(meter.KindNotFound, "no usage record group %q", meter.Clip(name))
	case len(found) > 1:
		return billing.RecordGroup{}, meter.Errorf(meter.KindConflict, "several customers have a usage record group %q: ask with a key that is bound to one", meter.Clip(name))
	}
	return found[0], nil
}

// DeleteRecordGroup deletes a group that is CREATED or INVALID, is not claimed
// by a report and has no settled dimension; its void is then to be posted. One
// that is DELETED is returned as it is. Any other is KindInvalid. It and the
// claim of a report exclude each other.
func (s *Store) DeleteRecordGroup(ctx context.Context, organization, id, actor string) (billing.RecordGroup, error) {
	return s.moveGroup(ctx, organization, id, actor, groupMove{
		statement: stmt.RecordGroupDelete, action: catalog.AuditDelete, done: billing.GroupDeleted,
		refuse: func(g billing.RecordGroup) error {
			if g.Status == billing.GroupCreated || g.Status == billing.GroupInvalid {
				return meter.Errorf(meter.KindInvalid, "usage record group %q is claimed by a report or has been billed in part and cannot be deleted", meter.Clip(g.Name))
			}
			return meter.Errorf(meter.KindInvalid, "usage record group %q is %s: only one that is CREATED or INVALID can be deleted", meter.Clip(g.Name), g.Status)
		},
	})
}

// RetryRecordGroup makes a group that is REPORT_FAILED one that is CREATED, for
// the next report to claim. Its settled dimensions stay settled, and what was
// refused of it waits there no longer. Any other is KindInvalid. The groups that
// share a figure with it that is not the sum of theirs go with it.
func (s *Store) RetryRecordGroup(ctx context.Context, organization, id, actor string) (billing.RecordGroup, error) {
	return s.moveGroup(ctx, organization, id, actor, groupMove{
		statement: stmt.RecordGroupRetry, action: catalog.AuditUpdate,
		after: func(ctx context.Context, tx *sql.Tx, before billing.RecordGroup) error {
			return s.retryTogether(ctx, tx, organization, actor, before)
		},
		refuse: func(g billing.RecordGroup) error {
			return meter.Errorf(meter.KindInvalid, "usage record group %q is %s: only one that is REPORT_FAILED can be retried", meter.Clip(g.Name), g.Status)
		},
	})
}

// groupMove is a change of status that the database makes only where it is allowed.
type groupMove struct {
	statement string
	action    catalog.AuditAction
	done      string // a group of this status is where the move leads to; "" = none
	refuse    func(billing.RecordGroup) error
	after     func(ctx context.Context, tx *sql.Tx, before billing.RecordGroup) error // what else changes with it; nil = nothing
}

func (s *Store) moveGroup(ctx context.Context, organization, id, actor string, m groupMove) (g billing.RecordGroup, err error) {
	if err := catalog.CheckActor(actor); err != nil {
		return billing.RecordGroup{}, err
	}
	err = s.db.Write(ctx, "change the usage record group", func(tx *sql.Tx) error {
		before, err := getRecordGroup(ctx, tx, organization, id)
		if err != nil {
			return err
		}
		changed, err := tx.ExecContext(ctx, m.statement, organization, id, store.Micros(s.db.Now()))
		if err != nil {
			return err
		}
		n, err := changed.RowsAffected()
		if err != nil {
			return err
		}
		if g, err = getRecordGroup(ctx, tx, organization, id); err != nil {
			return err
		}
		if n == 0 {
			if m.done != "" && g.Status == m.done {
				return nil
			}
			return m.refuse(g)
		}
		if m.after != nil {
			if err := m.after(ctx, tx, before); err != nil {
				return err
			}
		}
		return s.auditGroup(ctx, tx, organization, actor, m.action, &before, g.Status)
	})
	if err != nil {
		return billing.RecordGroup{}, err
	}
	return g, nil
}

// auditGroup enters a change of a group's status.
func (s *Store) auditGroup(ctx context.Context, tx *sql.Tx, organization, actor string, action catalog.AuditAction, before *billing.RecordGroup, status string) error {
	return s.db.Audit(ctx, tx, store.Entry{Organization: organization, Actor: actor, Action: action, Noun: "record_group", ID: before.Name,
		Before: map[string]string{"status": before.Status}, After: map[string]string{"status": status}})
}

// MarkPosted notes that groups with serials from first to last, which were
// from, are now to. Those that are neither stay: a group that was deleted
// meanwhile has its void to post.
func (s *Store) MarkPosted(ctx context.Context, organization string, first, last int32, from, to billing.Posted) error {
	return s.db.Write(ctx, "note what was posted", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.RecordGroupPosted, organization, first, last, int64(to), int64(from))
		return err
	})
}

// RepostGroups has the events, or the void, of all groups that were created or
// changed since an instant posted again: for a catalog that was restored with
// a ledger that may be older. What the ledger has already it counts once.
func (s *Store) RepostGroups(ctx context.Context, since time.Time) error {
	return s.db.Write(ctx, "have usage record groups posted again", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmt.RecordGroupRepost, since.UnixMicro())
		return err
	})
}

// UnpostedGroups lists groups whose events or void are still to be posted, in
// order of organization and serial, after the place given; "" and 0 is the start.
func (s *Store) UnpostedGroups(ctx context.Context, organization string, serial int32, limit int) ([]billing.OwnedGroup, error) {
	groups, err := store.List(ctx, s.db.Reader(), scanOwnedGroup, stmt.RecordGroupUnposted, organization, serial, limit)
	if err != nil {
		return nil, s.db.Fail(err, "cannot list usage record groups to post")
	}
	return groups, nil
}

func scanRecordGroup(r store.Row) (billing.RecordGroup, error) {
	g, err := scanGroup(r)
	return g.RecordGroup, err
}

func scanOwnedGroup(r store.Row) (billing.OwnedGroup, error) {
	var organization string
	g, err := scanGroup(r, &organization)
	g.Organization = organization
	return g, err
}

// scanGroup reads a group, after what comes before it.
func scanGroup(r store.Row, before ...any) (billing.OwnedGroup, error) {
	var g billing.OwnedGroup
	var usage, created, updated, reported sql.NullInt64
	var origin, records, billable, settled string
	var report sql.NullString
	err := r.Scan(append(before, &g.ID, &g.Serial, &g.Entitlement, &g.Customer, &g.Buyer, &g.Partner, &g.Product, &g.Status,
		&usage, &created, &updated, &g.Source, &origin, &records, &billable, &g.Message, &g.Posted, &settled, &report, &reported, &g.Name)...)
	if err != nil {
		return g, err
	}
	g.Usage, g.Created, g.Updated, g.Reported = store.FromMicros(usage), store.FromMicros(created), store.FromMicros(updated), store.FromMicros(reported)
	g.Report = report.String
	err = errors.Join(json.Unmarshal([]byte(origin), &g.Origin), json.Unmarshal([]byte(records), &g.Records),
		json.Unmarshal([]byte(billable), &g.Billable), json.Unmarshal([]byte(settled), &g.Settled))
	return g, err
}
