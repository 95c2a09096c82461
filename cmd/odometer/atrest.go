package main

import (
	"context"
	"errors"
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

// claimData takes the lock of an existing data directory.
func claimData(dir string) (release func(), err error) {
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		return nil, usageErrorf("%s is a backup; `odometer restore` makes a data directory of it", dir)
	}
	if _, err := os.Stat(catalogPath(dir)); err != nil {
		return nil, usageErrorf("%s is not a data directory: %v", dir, err)
	}
	return lockData(dir)
}

// openAtRest opens an existing data directory with default limits.
func openAtRest(ctx context.Context, env *Env, dir string) (*atRest, error) {
	release, err := claimData(dir)
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := openStores(ctx, dir, ledger.DefaultLimits(), env, logger)
	if err != nil {
		release()
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return &atRest{stores: s, release: release}, nil
}

func (a *atRest) close() error {
	defer a.release()
	return errors.Join(a.stores.close())
}
