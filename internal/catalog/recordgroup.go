package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"odometer/internal/meter"
)

// The states of a usage record group.
//
//	CREATED ──► REPORT_PENDING ──► REPORTED
//	   ▲  │            │
//	   │  ▼            ▼
//	   │ DELETED   REPORT_FAILED
//	   └───────────────┘ retry            INVALID ──► DELETED
const (
	GroupCreated       = "CREATED"
	GroupInvalid       = "INVALID"        // accepted, but cannot be billed; nothing of it is posted
	GroupReportPending = "REPORT_PENDING" // claimed by a report whose outcome is open
	GroupReported      = "REPORTED"       // a marketplace has accepted it, or nothing had to be sent
	GroupReportFailed  = "REPORT_FAILED"  // a marketplace refused it, or a dimension of it
	GroupDeleted       = "DELETED"
)

// Posted says what of a group is in the ledger.
type Posted uint8

// A group is posted events first, and its void after them.
const (
	EventsToPost  Posted = iota // its events are to be posted
	EventsPosted                // they are in the ledger
	VoidToPost                  // its events, and then their void, are to be posted
	NothingToPost               // the void is in the ledger, or there were never events
)

const (
	// MaxGroupIDBytes bounds the id of a usage record group.
	MaxGroupIDBytes = 36
	// MaxGroups bounds the usage record groups that are created in one step.
	MaxGroups = 1000
	// groupColumns are the parameters of one group in that statement.
	groupColumns = 19
)

// RecordGroup is usage that was reported against an entitlement. What was
// reported never changes; status, Posted, Settled and the report do.
type RecordGroup struct {
	ID          string // within the organization, see GroupID
	Name        string // what its reporter calls it; "" when it is created = ID
	Serial      int32  // 1, 2, 3, ... within the organization
	Entitlement string
	Customer    string
	Buyer       string
	Partner     string
	Product     string
	Status      string
	Usage       time.Time // when the usage happened
	Created     time.Time
	Updated     time.Time
	Source      string
	Origin      map[string]meter.Decimal // by key, as reported
	Records     map[string]meter.Decimal // by dimension, after mapping
	Billable    []BillableRecord         // of billable metrics, as reported
	Message     string                   // why it is INVALID or REPORT_FAILED
	Posted      Posted
	Settled     []string  // dimensions that a marketplace has accepted; a retry leaves them out
	Report      string    // the report that claimed it; "" = none
	Reported    time.Time // zero until it is REPORTED
}

// BillableRecord is usage of a billable metric.
type BillableRecord struct {
	Metric     string          `json:"metric"`
	Properties json.RawMessage `json:"properties,omitempty"` // a JSON object
	Quantity   *meter.Decimal  `json:"quantity,omitempty"`   // nil where the metric counts records or values
}

// OwnedGroup is a group and its organization.
type OwnedGroup struct {
	Organization string
	RecordGroup
}

// RecordGroupFilter chooses groups; a text that is "" does not.
type RecordGroupFilter struct {
	From, To    time.Time // creation, half-open
	Partner     string
	Buyer       string
	Entitlement string
	Status      string
	Source      string
	Customer    string
	Product     string
	Match       func(*RecordGroup) bool // nil = all; asked of each group in turn
}

// RecordGroupPage is a part of a list of groups, the newest first.
type RecordGroupPage struct {
	Items []RecordGroup
	More  bool // whether there are groups after these
	Next  int  // the offset of what is after these
}

// groupSpan is the answer that is kept for an idempotency key.
type groupSpan struct{ First, Last int32 }

// CreateRecordGroups stores groups in one step, in order, and returns them
// with serial and times. An id that was ever used, also by a deleted group, is
// KindConflict and nothing is stored. With an idempotency key that was used
// before it returns the groups of then, as they are now.
func (s *Store) CreateRecordGroups(ctx context.Context, organization string, groups []RecordGroup, once Idempotency) (made []RecordGroup, repeated bool, err error) {
	if len(groups) == 0 || len(groups) > MaxGroups {
		return nil, false, meter.Errorf(meter.KindTooLarge, "%d usage record groups: want 1 to %d", len(groups), MaxGroups)
	}
	for i := range groups {
		if groups[i].Name == "" {
			groups[i].Name = groups[i].ID
		}
		if !validText(groups[i].ID, MaxGroupIDBytes) || !validText(groups[i].Name, MaxGroupIDBytes) {
			return nil, false, meter.Errorf(meter.KindInvalid, "the id of a usage record group is 1 to %d bytes of UTF-8 without control characters", MaxGroupIDBytes)
		}
	}
	if err := once.validate(); err != nil {
		return nil, false, err
	}
	err = s.write(ctx, "store the usage record groups", func(tx *sql.Tx) error {
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
			made, err = list(ctx, tx, scanRecordGroup, stmtRecords.RecordGroupSpan, organization, span.First, span.Last)
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
func (s *Store) repeatedBefore(ctx context.Context, tx *sql.Tx, organization string, once Idempotency, span *groupSpan) (bool, error) {
	customer := once.Customer
	once.Customer = ""
	had, err := s.repeated(ctx, tx, organization, once, span)
	if meter.KindOf(err) == meter.KindConflict && err != nil { // somebody else's, of which nothing is told
		return false, nil
	}
	if err != nil || !had {
		return false, err
	}
	made, err := list(ctx, tx, scanRecordGroup, stmtRecords.RecordGroupSpan, organization, span.First, span.Last)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(made, func(g RecordGroup) bool { return g.Customer != customer }), nil
}

func (s *Store) insertGroups(ctx context.Context, tx *sql.Tx, organization string, groups []RecordGroup) ([]RecordGroup, error) {
	var serial int64
	if err := tx.QueryRowContext(ctx, stmtRecords.RecordGroupSerial, organization).Scan(&serial); err != nil {
		return nil, err
	}
	if serial+int64(len(groups)) > math.MaxInt32 {
		return nil, meter.Errorf(meter.KindStorageFull, "the organization has had %d usage record groups, the most there can be", serial)
	}
	now := s.now()
	made := make([]RecordGroup, len(groups))
	bulk := max(1, s.dialect.bulkRows*nounColumns/groupColumns) // about as many parameters as for nouns
	whole, err := tx.PrepareContext(ctx, repeatValues(stmtRecords.RecordGroupCreate, groupColumns, bulk))
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
			done, err = tx.ExecContext(ctx, repeatValues(stmtRecords.RecordGroupCreate, groupColumns, len(part)), args...)
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
func (s *Store) taken(ctx context.Context, tx *sql.Tx, organization string, groups []RecordGroup) error {
	for _, g := range groups {
		had, err := getRecordGroup(ctx, tx, organization, g.ID)
		if meter.KindOf(err) == meter.KindNotFound && err != nil {
			had, err = getNamedGroup(ctx, tx, organization, g.Name, g.Entitlement)
		}
		if err == nil && had.Serial != g.Serial {
			return meter.Errorf(meter.KindConflict, "usage record group %q exists already, its status is %s", clip(had.Name), had.Status)
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
		micros(g.Usage), micros(g.Created), micros(g.Updated), g.Source, encode(quantities(g.Origin)), encode(quantities(g.Records)),
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
func (s *Store) RecordGroup(ctx context.Context, organization, id string) (RecordGroup, error) {
	g, err := getRecordGroup(ctx, s.reader, organization, id)
	if err != nil {
		return RecordGroup{}, s.fail(err, "cannot read the usage record group")
	}
	return g, nil
}

func getRecordGroup(ctx context.Context, q queryer, organization, id string) (RecordGroup, error) {
	g, err := scanRecordGroup(q.QueryRowContext(ctx, stmtRecords.RecordGroupGet, organization, id))
	if errors.Is(err, sql.ErrNoRows) {
		return g, meter.Errorf(meter.KindNotFound, "no usage record group %q", clip(id))
	}
	return g, err
}

// GroupID is the id of the group that a reporter calls name: the name itself,
// or, where the reporter's key is bound to a customer, one that no other
// customer's reporter can take.
func GroupID(customer, name string) string {
	if customer == "" {
		return name
	}
	sum := sha256.Sum256([]byte(customer + "\x00" + name))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])[:boundIDBytes]
}

// boundIDBytes are those of GroupID after its mark: 186 bits of a hash.
const boundIDBytes = 31

// NamedGroup returns the group that a reporter calls name. customer is the one
// that its key is bound to: it sees its own, and those of its customer that
// others reported; "" sees all, its own first. Where several customers'
// reporters call one so, and none of them is the asker, that is KindConflict.
func (s *Store) NamedGroup(ctx context.Context, organization, customer, name string) (RecordGroup, error) {
	g, err := getRecordGroup(ctx, s.reader, organization, GroupID(customer, name))
	if err == nil && (customer != "" || g.Name == name) {
		return g, nil
	}
	none := meter.Errorf(meter.KindNotFound, "no usage record group %q", clip(name))
	switch {
	case err != nil && meter.KindOf(err) != meter.KindNotFound:
		return RecordGroup{}, s.fail(err, "cannot read the usage record group")
	case customer != "":
		if g, err = getRecordGroup(ctx, s.reader, organization, name); err == nil && g.Name == name && g.Customer == customer {
			return g, nil
		}
	default:
		if g, err = getNamedGroup(ctx, s.reader, organization, name, ""); err == nil {
			return g, nil
		}
	}
	if err == nil || meter.KindOf(err) == meter.KindNotFound {
		return RecordGroup{}, none
	}
	return RecordGroup{}, s.fail(err, "cannot read the usage record group")
}

// getNamedGroup returns the only group of a name, of one entitlement if it is not "".
func getNamedGroup(ctx context.Context, q queryer, organization, name, entitlement string) (RecordGroup, error) {
	found, err := list(ctx, q, scanRecordGroup, stmtRecords.RecordGroupNamed, organization, name, entitlement)
	switch {
	case err != nil:
		return RecordGroup{}, err
	case len(found) == 0:
		return RecordGroup{}, meter.Errorf(meter.KindNotFound, "no usage record group %q", clip(name))
	case len(found) > 1:
		return RecordGroup{}, meter.Errorf(meter.KindConflict, "several customers have a usage record group %q: ask with a key that is bound to one", clip(name))
	}
	return found[0], nil
}

// DeleteRecordGroup deletes a group that is CREATED or INVALID, is not claimed
// by a report and has no settled dimension; its void is then to be posted. One
// that is DELETED is returned as it is. Any other is KindInvalid. It and the
// claim of a report exclude each other.
func (s *Store) DeleteRecordGroup(ctx context.Context, organization, id, actor string) (RecordGroup, error) {
	return s.moveGroup(ctx, organization, id, actor, groupMove{
		statement: stmtRecords.RecordGroupDelete, action: AuditDelete, done: GroupDeleted,
		refuse: func(g RecordGroup) error {
			if g.Status == GroupCreated || g.Status == GroupInvalid {
				return meter.Errorf(meter.KindInvalid, "usage record group %q is claimed by a report or has been billed in part and cannot be deleted", clip(g.Name))
			}
			return meter.Errorf(meter.KindInvalid, "usage record group %q is %s: only one that is CREATED or INVALID can be deleted", clip(g.Name), g.Status)
		},
	})
}

// RetryRecordGroup makes a group that is REPORT_FAILED one that is CREATED, for
// the next report to claim. Its settled dimensions stay settled, and what was
// refused of it waits there no longer. Any other is KindInvalid. The groups that
// share a figure with it that is not the sum of theirs go with it.
func (s *Store) RetryRecordGroup(ctx context.Context, organization, id, actor string) (RecordGroup, error) {
	return s.moveGroup(ctx, organization, id, actor, groupMove{
		statement: stmtRecords.RecordGroupRetry, action: AuditUpdate,
		after: func(ctx context.Context, tx *sql.Tx, before RecordGroup) error {
			return s.retryTogether(ctx, tx, organization, before)
		},
		refuse: func(g RecordGroup) error {
			return meter.Errorf(meter.KindInvalid, "usage record group %q is %s: only one that is REPORT_FAILED can be retried", clip(g.Name), g.Status)
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

func (s *Store) moveGroup(ctx context.Context, organization, id, actor string, m groupMove) (g RecordGroup, err error) {
	if err := checkActor(actor); err != nil {
		return RecordGroup{}, err
	}
	err = s.write(ctx, "change the usage record group", func(tx *sql.Tx) error {
		before, err := getRecordGroup(ctx, tx, organization, id)
		if err != nil {
			return err
		}
		changed, err := tx.ExecContext(ctx, m.statement, organization, id, micros(s.now()))
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
		return s.audit(ctx, tx, change{organization: organization, actor: actor, action: m.action, noun: "record_group", id: before.Name,
			before: map[string]string{"status": before.Status}, after: map[string]string{"status": g.Status}})
	})
	if err != nil {
		return RecordGroup{}, err
	}
	return g, nil
}

// MarkPosted notes that groups with serials from first to last, which were
// from, are now to. Those that are neither stay: a group that was deleted
// meanwhile has its void to post.
func (s *Store) MarkPosted(ctx context.Context, organization string, first, last int32, from, to Posted) error {
	return s.write(ctx, "note what was posted", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmtRecords.RecordGroupPosted, organization, first, last, int64(to), int64(from))
		return err
	})
}

// RepostGroups has the events, or the void, of all groups that were created or
// changed since an instant posted again: for a catalogue that was restored with
// a ledger that may be older. What the ledger has already it counts once.
func (s *Store) RepostGroups(ctx context.Context, since time.Time) error {
	return s.write(ctx, "have usage record groups posted again", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, stmtRecords.RecordGroupRepost, since.UnixMicro())
		return err
	})
}

// UnpostedGroups lists groups whose events or void are still to be posted, in
// order of organization and serial, after the place given; "" and 0 is the start.
func (s *Store) UnpostedGroups(ctx context.Context, organization string, serial int32, limit int) ([]OwnedGroup, error) {
	groups, err := list(ctx, s.reader, scanOwnedGroup, stmtRecords.RecordGroupUnposted, organization, serial, limit)
	if err != nil {
		return nil, s.fail(err, "cannot list usage record groups to post")
	}
	return groups, nil
}

func scanRecordGroup(r row) (RecordGroup, error) { g, err := scanGroup(r); return g.RecordGroup, err }

func scanOwnedGroup(r row) (OwnedGroup, error) {
	var organization string
	g, err := scanGroup(r, &organization)
	g.Organization = organization
	return g, err
}

// scanGroup reads a group, after what comes before it.
func scanGroup(r row, before ...any) (OwnedGroup, error) {
	var g OwnedGroup
	var usage, created, updated, reported sql.NullInt64
	var origin, records, billable, settled string
	var report sql.NullString
	err := r.Scan(append(before, &g.ID, &g.Serial, &g.Entitlement, &g.Customer, &g.Buyer, &g.Partner, &g.Product, &g.Status,
		&usage, &created, &updated, &g.Source, &origin, &records, &billable, &g.Message, &g.Posted, &settled, &report, &reported, &g.Name)...)
	if err != nil {
		return g, err
	}
	g.Usage, g.Created, g.Updated, g.Reported = fromMicros(usage), fromMicros(created), fromMicros(updated), fromMicros(reported)
	g.Report = report.String
	err = errors.Join(json.Unmarshal([]byte(origin), &g.Origin), json.Unmarshal([]byte(records), &g.Records),
		json.Unmarshal([]byte(billable), &g.Billable), json.Unmarshal([]byte(settled), &g.Settled))
	return g, err
}
