package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"odometer/internal/meter"
	"odometer/internal/store"
	"odometer/internal/store/keys"
	"odometer/internal/store/records"
)

// catalogIDFile says that a data directory's catalog is in PostgreSQL. It
// holds the random id by which the catalog knows this directory's ledger, or
// nothing in a copy made of a backup, which is another ledger.
const catalogIDFile = "catalog.id"

const catalogIDBytes = 16

// CatalogSettings say where a data directory's catalog and the key of its secrets are.
type CatalogSettings struct {
	Catalog       string `placeholder:"DSN" setting:"" secret:"" help:"Address of the catalog in PostgreSQL: postgres://user:password@host/database. Empty: catalog.db in the data directory. Better given as ODOMETER_CATALOG."`
	SecretKeyFile string `placeholder:"FILE" setting:"" help:"File (mode 0600) with the key that encrypts the secrets of EdgeGrid keys. Empty: secret.key in the data directory."`

	limits store.Limits // of a server; zero = limitsAtRest
}

// limitsAtRest are the limits of a catalog that no server uses: what a server may
// hold is its setting, and whoever may open the directory may change that too.
var limitsAtRest = store.Limits{KeysPerOrganization: math.MaxInt, Keys: math.MaxInt, Nouns: math.MaxInt}

// Validate implements kong.Validatable. What was typed may hold a password and is not repeated.
func (c *CatalogSettings) Validate() error {
	if c.Catalog != "" && !strings.HasPrefix(c.Catalog, "postgres://") && !strings.HasPrefix(c.Catalog, "postgresql://") {
		return errors.New("catalog: want postgres://user:password@host/database, or nothing for catalog.db in the data directory")
	}
	return nil
}

// secretKeyPath is where the key file of a data directory is.
func (c *CatalogSettings) secretKeyPath(dir string) string {
	if c.SecretKeyFile != "" {
		return c.SecretKeyFile
	}
	return filepath.Join(dir, keys.SecretKeyFile)
}

func catalogPath(dir string) string { return filepath.Join(dir, catalogFile) }

// inPostgres says whether a data directory's catalog is in PostgreSQL.
func inPostgres(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, catalogIDFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// openCatalog opens the catalog of a data directory whose lock is held. One
// in PostgreSQL has to be this ledger's, and becomes that if it is nobody's.
func (c *CatalogSettings) openCatalog(ctx context.Context, env *Env, dir string, logger *slog.Logger) (*store.Store, error) {
	if c.Catalog == "" {
		elsewhere, err := inPostgres(dir)
		if err != nil {
			return nil, err
		}
		if elsewhere {
			return nil, usageErrorf("the catalog of %s is in PostgreSQL: name it with --catalog or %s", dir, envName("catalog"))
		}
		return c.open(ctx, env, catalogPath(dir), logger)
	}
	if _, err := os.Stat(catalogPath(dir)); err == nil {
		return nil, usageErrorf("%s has its catalog in %s: --catalog is for a data directory that is new or was started with it", dir, catalogFile)
	}
	store, err := c.open(ctx, env, c.Catalog, logger)
	if err != nil {
		return nil, err
	}
	if err := bindCatalog(ctx, store, dir); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func (c *CatalogSettings) open(ctx context.Context, env *Env, dsn string, logger *slog.Logger) (*store.Store, error) {
	limits := c.limits
	if limits == (store.Limits{}) {
		limits = limitsAtRest
	}
	store, err := store.Open(ctx, dsn, store.Options{Clock: env.Clock, Logger: logger, Limits: limits, Build: cleanBuild(buildVersion())})
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	return store, nil
}

// bindCatalog makes a catalog in PostgreSQL the one of a data directory.
func bindCatalog(ctx context.Context, store *store.Store, dir string) error {
	id, made, err := ledgerID(dir)
	if err != nil {
		return err
	}
	err = store.BindLedger(ctx, id)
	if meter.KindOf(err) == meter.KindConflict {
		err = fmt.Errorf("%w\nTwo ledgers would overwrite each other's meters and closed months. If %s replaces the other data directory, "+
			"stop that one and run `odometer rebind --data %s`", err, dir, dir)
	}
	if err != nil && made { // nothing of this directory is in PostgreSQL
		return errors.Join(err, os.Remove(filepath.Join(dir, catalogIDFile)))
	}
	return err
}

// ledgerID returns the id of a data directory's ledger, and whether it was made now.
func ledgerID(dir string) (id string, made bool, err error) {
	path := filepath.Join(dir, catalogIDFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("read the ledger's id: %w", err)
	}
	if id = string(bytes.TrimSpace(text)); id != "" {
		return id, false, nil
	}
	known := err == nil
	random := make([]byte, catalogIDBytes)
	_, _ = rand.Read(random) // never fails
	id = hex.EncodeToString(random)
	partial := path + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", false, fmt.Errorf("write the ledger's id: %w", err)
	}
	if err := writeSynced(partial, strings.NewReader(id+"\n")); err != nil {
		return "", false, fmt.Errorf("write the ledger's id: %w", err)
	}
	if err := errors.Join(os.Rename(partial, path), syncDir(dir)); err != nil {
		return "", false, fmt.Errorf("write the ledger's id: %w", err)
	}
	return id, !known, nil
}

// rebindCmd gives a catalog in PostgreSQL to another ledger.
type rebindCmd struct {
	CatalogSettings `embed:""`
	Data            string `required:"" placeholder:"DIR" help:"The data directory. No server may be using it."`
}

// Help says when it is right to do so.
func (c *rebindCmd) Help() string {
	return "For a data directory that was restored from a backup and has its catalog in PostgreSQL. The directory that had the catalog before can no longer change it. Stop that directory's server first."
}

// Run binds the catalog and says whose it was.
func (c *rebindCmd) Run(ctx context.Context, env *Env) error {
	if c.Catalog == "" {
		return usageErrorf("name the catalog with --catalog or %s", envName("catalog"))
	}
	release, err := claimData(c.Data)
	if err != nil {
		return err
	}
	defer release()
	if elsewhere, err := inPostgres(c.Data); err != nil || !elsewhere {
		return errors.Join(err, usageErrorf("%s has its catalog in %s", c.Data, catalogFile))
	}
	id, _, err := ledgerID(c.Data)
	if err != nil {
		return err
	}
	store, err := c.open(ctx, env, c.Catalog, nil)
	if err != nil {
		return err
	}
	records := records.New(store)
	before, err := store.RebindLedger(ctx, id)
	if err == nil {
		// How much older than the catalog the ledger is nobody knows.
		err = errors.Join(pauseReporters(ctx, records), records.RepostGroups(ctx, time.Time{}))
	}
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	if before == "" {
		before = "none"
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: ledger %s; before: %s\n", c.Data, id, before)
	return err
}
