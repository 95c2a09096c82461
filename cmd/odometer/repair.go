package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"odometer/internal/ledger"
)

// repairCmd shows what damage has stopped and lets it go on where the log can be read again.
type repairCmd struct {
	CatalogSettings `embed:""`

	Data   string `required:"" placeholder:"DIR" help:"The data directory. No server may be using it."`
	DryRun bool   `help:"Only show what is stopped, and whether it could go on."`
}

// Help says what is repaired, and what cannot be.
func (c *repairCmd) Help() string {
	return "A block that fails its checksum stops its organization. Once all blocks of the organization can be read again (the disk was repaired, the file put back), " +
		"this folds the whole log anew, and the organization is served again. The log is not changed. Exit code 3 if a block still cannot be read: restore a backup."
}

// Run shows the stops and clears those whose reason is gone.
func (c *repairCmd) Run(ctx context.Context, env *Env) error {
	release, err := claimData(c.Data)
	if err != nil {
		return err
	}
	defer release()
	stops, err := c.stops(ctx, env)
	if err != nil {
		return err
	}
	still, ready := 0, 0
	for _, s := range stops {
		fmt.Fprintf(env.Stdout, "organization %s is stopped: %s\n", s.Organization, s.Reason)
		if s.Now != "" {
			still++
			fmt.Fprintf(env.Stdout, "  it cannot be read yet: %s\n", s.Now)
			continue
		}
		ready++
		fmt.Fprintln(env.Stdout, "  all its blocks can be read now")
	}
	if len(stops) == 0 {
		fmt.Fprintln(env.Stdout, "no organization is stopped")
	}
	if ready > 0 && !c.DryRun {
		if err := c.refold(ctx, env); err != nil {
			return err
		}
	}
	if still > 0 {
		return exitWith(exitDisagrees, fmt.Errorf("%s: %s cannot be served: restore a backup", c.Data, plural(still, "organization")))
	}
	return nil
}

func (c *repairCmd) ledger(ctx context.Context, env *Env) (*stores, error) {
	logger := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return openLedger(ctx, c.Data, c.CatalogSettings, ledger.DefaultLimits(), env, logger, sayDamage(logger))
}

func (c *repairCmd) stops(ctx context.Context, env *Env) ([]ledger.Stop, error) {
	s, err := c.ledger(ctx, env)
	if err != nil {
		return nil, err
	}
	stops, err := s.ledger.Stops(ctx)
	return stops, errors.Join(err, s.ledger.Close())
}

// refold folds the log anew and says who is served again.
func (c *repairCmd) refold(ctx context.Context, env *Env) error {
	done, err := ledger.Refold(filepath.Join(c.Data, ledgerFolder))
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stderr, "folding the log anew")
	left, err := c.stops(ctx, env)
	if err != nil {
		return err
	}
	for _, s := range left {
		fmt.Fprintf(env.Stdout, "organization %s is still stopped: %s\n", s.Organization, s.Reason)
	}
	fmt.Fprintln(env.Stdout, "the log was folded anew")
	return done()
}
