package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"odometer/internal/meter"
)

// groupColumns are the parameters of one group in RecordGroupCreate.
const groupColumns = 19

// groupSpan is the answer that is kept for an idempotency key.
type groupSpan struct{ First, Last int32 }

// CreateRecordGroups stores groups in one step, in order, and returns them
// with serial and times. An id that was ever used, also by a deleted group, is
// KindConflict and nothing is stored. With an idempotency key that was used
// before it returns the groups of then, as they are now.
func (s *Records) CreateRecordGroups(ctx context.Context, organization string, groups []RecordGroup, once Idempotency) (made []RecordGroup, repeated bool, err error) {
	if len(groups) == 0 || len(groups) > MaxGroups {
		return nil, false, meter.Errorf(meter.KindTooLarge, "%d usage record groups: want 1 to %d", len(groups), MaxGroups)
	}
	for i := range groups {
		if groups[i].Name == "" {
			groups[i].Name = groups[i].ID
		}
		if !PlainText(groups[i].ID, MaxGroupIDBytes) || !PlainText(groups[i].Name, MaxGroupIDBytes) {
			return nil, false, meter.Errorf(meter.KindInvalid, "the id of a usage record group is 1 to %d bytes of UTF-8 without control characters", MaxGroupIDBytes)
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
			made, err = List(ctx, tx, scanRecordGroup, stmtRecords.RecordGroupSpan, organization, span.First, span.Last)
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
func (s *Records) repeatedBefore(ctx context.Context, tx *sql.Tx, organization string, once Idempotency, span *groupSpan) (bool, error) {
	customer := once.Customer
	once.Customer = ""
	had, err := s.repeated(ctx, tx, organization, once, span)
	if meter.KindOf(err) == meter.KindConflict && err != nil { // somebody else's, of which nothing is told
		return false, nil
	}
	if err != nil || !had {
		return false, err
	}
	made, err := List(ctx, tx, scanRecordGroup, stmtRecords.RecordGroupSpan, organization, span.First, span.Last)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(made, func(g RecordGroup) bool { return g.Customer != customer }), nil
}

func (s *Records) insertGroups(ctx context.Context, tx *sql.Tx, organization string, groups []RecordGroup) ([]RecordGroup, error) {
	var serial int64
	if err := tx.QueryRowContext(ctx, stmtRecords.RecordGroupSerial, organization).Scan(&serial); err != nil {
		return nil, err
	}
	if serial+int64(len(groups)) > math.MaxInt32 {
		return nil, meter.Errorf(meter.KindStorageFull, "the organization has had %d usage record groups, the most there can be", serial)
	}
	now := s.db.Now()
	made := make([]RecordGroup, len(groups))
	bulk := s.db.BulkRows(groupColumns)
	whole, err := tx.PrepareContext(ctx, RepeatValues(stmtRecords.RecordGroupCreate, groupColumns, bulk))
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
			done, err = tx.ExecContext(ctx, RepeatValues(stmtRecords.RecordGroupCreate, groupColumns, len(part)), args...)
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
func (s *Records) taken(ctx context.Context, tx *sql.Tx, organization string, groups []RecordGroup) error {
	for _, g := range groups {
		had, err := getRecordGroup(ctx, tx, organization, g.ID)
		if meter.KindOf(err) == meter.KindNotFound && err != nil {
			had, err = getNamedGroup(ctx, tx, organization, g.Name, g.Entitlement)
		}
		if err == nil && had.Serial != g.Serial {
			return meter.Errorf(meter.KindConflict, "usage record group %q exists already, its status is %s", Clip(had.Name), had.Status)
		}
	}
	return meter.Errorf(meter.KindConflict, "an id is given twice")
}

func groupArgs(organization string, g RecordGroup) ([]any, error) {
	var err error
	encode := func(v any) string {
		text, failed := json.Marshal(v)
		err = errors.Join(err, failed)
		return string(text)
	}
	return []any{organization, g.ID, g.Serial, g.Entitlement, g.Customer, g.Buyer, g.Partner, g.Product, g.Status,
		Micros(g.Usage), Micros(g.Created), Micros(g.Updated), g.Source, encode(quantities(g.Origin)), encode(quantities(g.Records)),
		encode(orNone(g.Billable)), g.Message, int64(g.Posted), g.Name}, err
}

// orNone is a list also where there is none.
func orNone(records []BillableRecord) []BillableRecord {
	if records == nil {
		return []BillableRecord{}
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
func (s *Records) RecordGroup(ctx context.Context, organization, id string) (RecordGroup, error) {
	g, err := getRecordGroup(ctx, s.db.Reader(), organization, id)
	if err != nil {
		return RecordGroup{}, s.db.Fail(err, "cannot read the usage record group")
	}
	return g, nil
}

func getRecordGroup(ctx context.Context, q Queryer, organization, id string) (RecordGroup, error) {
	g, err := scanRecordGroup(q.QueryRowContext(ctx, stmtRecords.RecordGroupGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return g, meter.Errorf(meter.KindNotFound, "no usage record group %q", Clip(id))
	}
	return g, err
}

// NamedGroup returns the group that a reporter calls name. customer is the one
// that its key is bound to: it sees its own, and those of its customer that
// others reported; "" sees all, its own first. Where several customers'
// reporters call one so, and none of them is the asker, that is KindConflict.
func (s *Records) NamedGroup(ctx context.Context, organization, customer, name string) (RecordGroup, error) {
	g, err := getRecordGroup(ctx, s.db.Reader(), organization, GroupID(customer, name))
	if err == nil && (customer != "" || g.Name == name) {
		return g, nil
	}
	none := meter.Errorf(meter.KindNotFound, "no usage record group %q", Clip(name))
	switch {
	case err != nil && meter.KindOf(err) != meter.KindNotFound:
		return RecordGroup{}, s.db.Fail(err, "cannot read the usage record group")
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
		return RecordGroup{}, none
	}
	return RecordGroup{}, s.db.Fail(err, "cannot read the usage record group")
}

// getNamedGroup returns the only group of a name, of one entitlement if it is not "".
func getNamedGroup(ctx context.Context, q Queryer, organization, name, entitlement string) (RecordGroup, error) {
	found, err := List(ctx, q, scanRecordGroup, stmtRecords.RecordGroupNamed, organization, name, entitlement)
	switch {
	case err != nil:
		return RecordGroup{}, err
	case len(found) == 0:
		return RecordGroup{}, meter.Errorf(meter.KindNotFound, "no usage record group %q", Clip(name))
	case len(found) > 1:
		return RecordGroup{}, meter.Errorf(meter.KindConflict, "several customers have a usage record group %q: ask with a key that is bound to one", Clip(name))
	}
	return found[0], nil
}

// DeleteRecordGroup deletes a group that is CREATED or INVALID, is not claimed
// by a report and has no settled dimension; its void is then to be posted. One
// that is DELETED is returned as it is. Any other is KindInvalid. It and the
// claim of a report exclude each other.
func (s *Records) DeleteRecordGroup(ctx context.Context, organization, id, actor string) (RecordGroup, error) {
	return s.moveGroup(ctx, organization, id, actor, groupMove{
		statement: stmtRecords.RecordGroupDelete, action: AuditDelete, done: GroupDeleted,
		refuse: func(g RecordGroup) error {
			if g.Status == GroupCreated || g.Status == GroupInvalid {
				return meter.Errorf(meter.KindInvalid, "usage record group %q is claimed by a report or has been billed in part and cannot be deleted", Clip(g.Name))
			}
			return meter.Errorf(meter.KindInvalid, "usage record group %q is %s: only one that is CREATED or INVALID can be deleted", Clip(g.Name), g.Status)
		},
	})
}

// RetryRecordGroup makes a group that is REPORT_FAILED one that is CREATED, for
// the next report to claim. Its settled dimensions stay settled, and what was
// refused of it waits there no longer. Any other is KindInvalid. The groups that
// share a figure with it that is not the sum of theirs go with it.
func (s *Records) RetryRecordGroup(ctx context.Context, organization, id, actor string) (RecordGroup, error) {
	return s.moveGroup(ctx, organization, id, actor, groupMove{
		statement: stmtRecords.RecordGroupRetry, action: AuditUpdate,
		after: func(ctx context.Context, tx *sql.Tx, before RecordGroup) error {
			return s.retryTogether(ctx, tx, organization, before)
		},
		refuse: func(g RecordGroup) error {
			return meter.Errorf(meter.KindInvalid, "usage record group %q is %s: only one that is REPORT_FAILED can be retried", Clip(g.Name), g.Status)
		},
	})
}

// groupMove is a change of status that the database makes only where it is allowed.
type groupMove struct {
	statement string
	action    AuditAction
	done      string // a group of this status is where the move leads to; "" = none
	refuse    func(RecordGroup) error
	after     func(ctx context.Context, tx *sql.Tx, before RecordGroup) error // what else changes with it; nil = nothing
}

func (s *Records) moveGroup(ctx context.Context, organization, id, actor string, m groupMove) (g RecordGroup, err error) {
	if err := CheckActor(actor); err != nil {
		return RecordGroup{}, err
	}
	err = s.db.Write(ctx, "change the usage record group", func(tx *sql.Tx) error {
		before, err := getRecordGroup(ctx, tx, organization, id)
		if err != nil {
			return err
		}
		changed, err := tx.ExecContext(ctx, m.statement, organization, id, Micros(s.db.Now()))
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
		return s.db.Audit(ctx, tx, Entry{Organization: organization, Actor: actor, Action: m.action, Noun: "record_group", ID: before.Name,
			Before: map[string]string{"status": before.Status}, After: map[string]string{"status": g.Status}})
	})
	if err != nil {
		return RecordGroup{}, err
	}
	return g, nil
}

// MarkPosted notes that groups with serials from first to last, which were
// from, are now to. Those that are neither stay: a group that was deleted
// meanwhile has its void to post.
func (s *Records) MarkPosted(ctx context.Context, organization string, first, last int32, from, to Posted) error {
	return s.db.Write(ctx, "note what was posted", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmtRecords.RecordGroupPosted, organization, first, last, int64(to), int64(from))
		return err
	})
}

// RepostGroups has the events, or the void, of all groups that were created or
// changed since an instant posted again: for a catalogue that was restored with
// a ledger that may be older. What the ledger has already it counts once.
func (s *Records) RepostGroups(ctx context.Context, since time.Time) error {
	return s.db.Write(ctx, "have usage record groups posted again", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmtRecords.RecordGroupRepost, since.UnixMicro())
		return err
	})
}

// UnpostedGroups lists groups whose events or void are still to be posted, in
// order of organization and serial, after the place given; "" and 0 is the start.
func (s *Records) UnpostedGroups(ctx context.Context, organization string, serial int32, limit int) ([]OwnedGroup, error) {
	groups, err := List(ctx, s.db.Reader(), scanOwnedGroup, stmtRecords.RecordGroupUnposted, organization, serial, limit)
	if err != nil {
		return nil, s.db.Fail(err, "cannot list usage record groups to post")
	}
	return groups, nil
}

func scanRecordGroup(r Row) (RecordGroup, error) { g, err := scanGroup(r); return g.RecordGroup, err }

func scanOwnedGroup(r Row) (OwnedGroup, error) {
	var organization string
	g, err := scanGroup(r, &organization)
	g.Organization = organization
	return g, err
}

// scanGroup reads a group, after what comes before it.
func scanGroup(r Row, before ...any) (OwnedGroup, error) {
	var g OwnedGroup
	var usage, created, updated, reported sql.NullInt64
	var origin, records, billable, settled string
	var report sql.NullString
	err := r.Scan(append(before, &g.ID, &g.Serial, &g.Entitlement, &g.Customer, &g.Buyer, &g.Partner, &g.Product, &g.Status,
		&usage, &created, &updated, &g.Source, &origin, &records, &billable, &g.Message, &g.Posted, &settled, &report, &reported, &g.Name)...)
	if err != nil {
		return g, err
	}
	g.Usage, g.Created, g.Updated, g.Reported = FromMicros(usage), FromMicros(created), FromMicros(updated), FromMicros(reported)
	g.Report = report.String
	err = errors.Join(json.Unmarshal([]byte(origin), &g.Origin), json.Unmarshal([]byte(records), &g.Records),
		json.Unmarshal([]byte(billable), &g.Billable), json.Unmarshal([]byte(settled), &g.Settled))
	return g, err
}
