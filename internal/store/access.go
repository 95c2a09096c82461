package store

import (
	"context"
	"database/sql"

	"odometer/internal/catalog"
)

// Access is an audit entry of something that changed nothing: a backup that
// was taken, or requests that were refused for their key.
type Access struct {
	Actor  string
	Noun   string // AccessBackup or AccessRefused
	ID     string // of the data directory's part, or the surface
	Detail any    // what is known of it; holds no secrets
}

// The nouns of accesses.
const (
	AccessBackup  = "backup"
	AccessRefused = "refused key"
)

// NoteAccess writes an audit entry of an organization.
func (s *Store) NoteAccess(ctx context.Context, organization string, a Access) error {
	if err := catalog.CheckActor(a.Actor); err != nil {
		return err
	}
	return s.Write(ctx, "note an access", func(tx *sql.Tx) error {
		return s.Audit(ctx, tx, Entry{Organization: organization, Actor: a.Actor, Action: catalog.AuditCreate, Noun: a.Noun, ID: a.ID, After: a.Detail})
	})
}
