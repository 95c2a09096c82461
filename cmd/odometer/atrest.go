package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"odometer/internal/ledger"
)

// atRest is a data directory that no server uses, opened by a command.
type atRest struct {
	*stores
	release func()
}

// refuseBackup returns an error for a directory that holds a backup: opening
// it would change files that its manifest vouches for.
func refuseBackup(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		return usageErrorf("%s is a backup; `odometer restore` makes a data directory of it", dir)
	}
	return nil
}

// claimData takes the lock of an existing data directory.
func claimData(dir string) (release func(), err error) {
	if err := refuseBackup(dir); err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, usageErrorf("%s is not a data directory: it is a file", dir)
	}
	if _, err := os.Stat(catalogPath(dir)); err != nil {
		elsewhere, wrong := inPostgres(dir)
		if wrong != nil {
			return nil, wrong
		}
		if !elsewhere {
			return nil, usageErrorf("%s is not a data directory: %v", dir, err)
		}
	}
	if err := checkPrivate(dir); err != nil {
		return nil, err
	}
	if err := ledger.CheckRoom(filepath.Join(dir, ledgerFolder)); err != nil {
		return nil, err
	}
	return lockData(dir)
}

// openAtRest opens an existing data directory with default limits. A catalog
// in PostgreSQL stays closed: nothing that is done at rest changes it, and the
// directory may be a copy to which it does not belong.
func openAtRest(ctx context.Context, env *Env, dir string, where CatalogSettings) (*atRest, error) {
	release, err := claimData(dir)
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	elsewhere, err := inPostgres(dir)
	if err != nil {
		release()
		return nil, err
	}
	open := openStores
	if elsewhere {
		open = openLedger
	}
	s, err := open(ctx, dir, where, ledger.DefaultLimits(), env, logger, sayDamage(logger))
	if err != nil {
		release()
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return &atRest{stores: s, release: release}, nil
}

// sayDamage lets a command at rest end in order, with the exit code of damage.
func sayDamage(logger *slog.Logger) func(string) {
	return func(message string) { logger.Error("stored data is damaged", "reason", message) }
}

func (a *atRest) close() error {
	defer a.release()
	return a.stores.close()
}
