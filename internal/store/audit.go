package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"strconv"

	"odometer/internal/catalog"
)

// AuditEntries lists the changes in an organization, the newest first. An
// unknown organization has none.
func (s *Store) AuditEntries(ctx context.Context, organization string, p catalog.Page) (catalog.AuditPage, error) {
	limit, err := p.Bound(s.limits.PageSize)
	if err != nil {
		return catalog.AuditPage{}, err
	}
	before := int64(math.MaxInt64)
	if p.Cursor != "" {
		before, err = strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil || before <= 0 || strconv.FormatInt(before, 10) != p.Cursor {
			return catalog.AuditPage{}, catalog.ErrCursor()
		}
	}
	items, err := List(ctx, s.reader, scanAudit, stmt.AuditList, organization, before, limit+1)
	if err != nil {
		return catalog.AuditPage{}, s.Fail(err, "cannot list audit entries")
	}
	var page catalog.AuditPage
	page.Items, page.Next = catalog.Cut(items, limit, func(e catalog.AuditEntry) string { return strconv.FormatInt(e.Number, 10) })
	return page, nil
}

// Entry is an audit entry to write; before and after are nil where there is
// nothing, and hold no secrets.
type Entry struct {
	Organization, Actor string
	Action              catalog.AuditAction
	Noun, ID            string
	Before, After       any
}

// Audit writes an entry within the transaction of the change that it tells of.
func (s *Store) Audit(ctx context.Context, tx *sql.Tx, c Entry) error {
	before, err := jsonOrNull(c.Before)
	if err != nil {
		return err
	}
	after, err := jsonOrNull(c.After)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, stmt.AuditCreate, c.Organization, Micros(s.Now()), c.Actor, string(c.Action), c.Noun, c.ID, before, after)
	return err
}

// auditColumns is how many parameters stmt.AuditCreateNumbered has.
const auditColumns = 9

// auditAll writes the entries of one organization, in order.
func (s *Store) auditAll(ctx context.Context, tx *sql.Tx, organization string, entries []Entry) error {
	var number int64
	if err := tx.QueryRowContext(ctx, stmt.AuditLast, organization).Scan(&number); err != nil {
		return err
	}
	now := Micros(s.Now())
	var args []any
	for i, c := range entries {
		before, err := jsonOrNull(c.Before)
		if err != nil {
			return err
		}
		after, err := jsonOrNull(c.After)
		if err != nil {
			return err
		}
		number++
		args = append(args, organization, number, now, c.Actor, string(c.Action), c.Noun, c.ID, before, after)
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

func scanAudit(r Row) (catalog.AuditEntry, error) {
	var e catalog.AuditEntry
	var at sql.NullInt64
	var before, after sql.NullString
	err := r.Scan(&e.Organization, &e.Number, &at, &e.Actor, &e.Action, &e.Noun, &e.ID, &before, &after)
	e.Time = FromMicros(at)
	if before.Valid {
		e.Before = json.RawMessage(before.String)
	}
	if after.Valid {
		e.After = json.RawMessage(after.String)
	}
	return e, err
}
