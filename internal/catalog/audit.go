package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"odometer/internal/meter"
)

// MaxActorBytes bounds the text that says who made a change.
const MaxActorBytes = 256

// AuditAction is what a change did.
type AuditAction string

// The actions of audit entries.
const (
	AuditCreate AuditAction = "create"
	AuditUpdate AuditAction = "update"
	AuditRevoke AuditAction = "revoke"
	AuditDelete AuditAction = "delete"
)

// AuditEntry records one change. It is written with the change, in one
// transaction, and never changed after.
type AuditEntry struct {
	Organization string          `json:"organization"`
	Number       int64           `json:"number"` // 1, 2, 3, ... within the organization
	Time         time.Time       `json:"time"`
	Actor        string          `json:"actor"`
	Action       AuditAction     `json:"action"`
	Noun         string          `json:"noun"` // organization, key, meter
	ID           string          `json:"id"`   // which of them
	Before       json.RawMessage `json:"before,omitempty"`
	After        json.RawMessage `json:"after,omitempty"`
}

// AuditPage is a part of an organization's audit entries, the newest first.
type AuditPage struct {
	Items []AuditEntry
	Next  string // Page.Cursor of what follows; "" at the end
}

// AuditEntries lists the changes in an organization, the newest first. An
// unknown organization has none.
func (s *Store) AuditEntries(ctx context.Context, organization string, p Page) (AuditPage, error) {
	limit, err := p.limit(s.limits.PageSize)
	if err != nil {
		return AuditPage{}, err
	}
	before := int64(math.MaxInt64)
	if p.Cursor != "" {
		before, err = strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil || before <= 0 || strconv.FormatInt(before, 10) != p.Cursor {
			return AuditPage{}, errCursor()
		}
	}
	items, err := list(ctx, s.reader, scanAudit, stmt.AuditList, organization, before, limit+1)
	if err != nil {
		return AuditPage{}, s.fail(err, "cannot list audit entries")
	}
	var page AuditPage
	page.Items, page.Next = cut(items, limit, func(e AuditEntry) string { return strconv.FormatInt(e.Number, 10) })
	return page, nil
}

// change is an audit entry to write; before and after are nil where there is
// nothing, and hold no secrets.
type change struct {
	organization, actor string
	action              AuditAction
	noun, id            string
	before, after       any
}

func (s *Store) audit(ctx context.Context, tx *sql.Tx, c change) error {
	before, err := jsonOrNull(c.before)
	if err != nil {
		return err
	}
	after, err := jsonOrNull(c.after)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmt.AuditCreate, c.organization, micros(s.now()), c.actor, string(c.action), c.noun, c.id, before, after)
	return err
}

// auditColumns is how many parameters stmt.AuditCreateNumbered has.
const auditColumns = 9

// auditAll writes the entries of one organization, in order.
func (s *Store) auditAll(ctx context.Context, tx *sql.Tx, organization string, entries []change) error {
	var number int64
	if err := tx.QueryRowContext(ctx, stmt.AuditLast, organization).Scan(&number); err != nil {
		return err
	}
	now := micros(s.now())
	var args []any
	for i, c := range entries {
		before, err := jsonOrNull(c.before)
		if err != nil {
			return err
		}
		after, err := jsonOrNull(c.after)
		if err != nil {
			return err
		}
		number++
		args = append(args, organization, number, now, c.actor, string(c.action), c.noun, c.id, before, after)
		if (i+1)%s.dialect.bulkRows == 0 || i+1 == len(entries) { // as they go, so that few are held
			if err := s.insertAll(ctx, tx, stmt.AuditCreateNumbered, auditColumns, args); err != nil {
				return err
			}
			clear(args)
			args = args[:0]
		}
	}
	return nil
}

// rendered is JSON as it is stored.
type rendered []byte

func jsonOrNull(v any) (sql.NullString, error) {
	if v == nil {
		return sql.NullString{}, nil
	}
	if text, ok := v.(rendered); ok {
		return sql.NullString{String: string(text), Valid: true}, nil
	}
	text, err := json.Marshal(v)
	return sql.NullString{String: string(text), Valid: true}, err
}

func scanAudit(r row) (AuditEntry, error) {
	var e AuditEntry
	var at sql.NullInt64
	var before, after sql.NullString
	err := r.Scan(&e.Organization, &e.Number, &at, &e.Actor, &e.Action, &e.Noun, &e.ID, &before, &after)
	e.Time = fromMicros(at)
	if before.Valid {
		e.Before = json.RawMessage(before.String)
	}
	if after.Valid {
		e.After = json.RawMessage(after.String)
	}
	return e, err
}

func checkActor(actor string) error {
	if !validText(actor, MaxActorBytes) {
		return meter.Errorf(meter.KindInvalid, "an actor is 1 to %d bytes of UTF-8 without control characters", MaxActorBytes)
	}
	return nil
}
