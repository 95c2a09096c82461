package store_test

import (
	"crypto/sha256"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"odometer/internal/access"
	"odometer/internal/catalog"
	"odometer/internal/store"
	"odometer/internal/store/keys"
)

// openKeys opens the keys of a catalog.
func openKeys(t testing.TB, s *store.Store) *keys.Store {
	t.Helper()
	keys, err := keys.Open(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// What the first schema held is there under the last.
func TestMigrationsKeepKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	id, secret := strings.Repeat("k", 16), strings.Repeat("s", 43)
	store.WithFirstSchema(t, path, func(db *sql.DB) {
		hash := sha256.Sum256([]byte(secret))
		for _, one := range []struct {
			statement string
			args      []any
		}{
			{`INSERT INTO organizations (id, name, customer_attribute, created_us) VALUES ('a', 'a', 'subject', 1)`, nil},
			{`INSERT INTO keys (id, organization, role, kind, customer, operator, hash, created_us, used_us)
				VALUES ($1, 'a', 'read', 'token', 'c', 0, $2, 5, 7)`, []any{id, hash[:]}},
		} {
			if _, err := db.Exec(one.statement, one.args...); err != nil {
				t.Fatal(err)
			}
		}
	})
	s := store.OpenTest(t, path)
	keys := openKeys(t, s)
	k, err := keys.Key(t.Context(), "a", id)
	if err != nil || k.Customer != "c" || k.Created.UnixMicro() != 5 || k.LastUsed.UnixMicro() != 7 || k.Kind != access.KindToken {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := keys.AuthenticateKey(t.Context(), "odo_"+id+"_"+secret); err != nil {
		t.Error(err)
	}
	if _, err := s.Apply(t.Context(), "a", &catalog.Document{Products: []catalog.Product{{ID: "p"}}}, catalog.ApplyOptions{Actor: "test"}); err != nil {
		t.Error(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
