package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"odometer/internal/store/records"
	"os"
	"path/filepath"
	"time"
)

// repostMargin is how long before a backup's time usage is posted again, for
// what was on its way then.
const repostMargin = time.Hour

// restoreCmd makes a data directory of a backup.
type restoreCmd struct {
	From string `arg:"" help:"The backup: its directory, its .tar file, or - for a tar stream on standard input."`
	Data string `required:"" placeholder:"DIR" help:"The data directory to make. It must be empty, or not exist."`
}

// Help says what the directory is good for.
func (c *restoreCmd) Help() string {
	return "Checks every file against the backup's manifest. The data directory appears only when all of it is there. Keys are those of the backup."
}

// Run restores and prints what was restored.
func (c *restoreCmd) Run(ctx context.Context, env *Env) error {
	stream, err := c.open(env)
	if err != nil {
		return err
	}
	defer stream.Close()
	m, err := unpackBackup(stream, c.Data)
	if err != nil {
		return fmt.Errorf("restore %s: %w", c.From, err)
	}
	// A data directory is not a backup: it changes from now on.
	if err := os.Remove(filepath.Join(c.Data, manifestName)); err != nil {
		return err
	}
	if err := c.readyCatalog(ctx, env, m.Created); err != nil {
		return err
	}
	m.warn(env)
	_, err = fmt.Fprintf(env.Stdout, "%s: as of sequence %d, %s\n", c.Data, m.Sequence, m.Created.Format("2006-01-02 15:04:05 MST"))
	return err
}

// readyCatalog keeps what was reported after the backup from being reported
// again, and has usage posted again that was reported while the backup was
// made: the ledger was copied before the catalog. A catalog in PostgreSQL was not restored by us: rebind does it there.
func (c *restoreCmd) readyCatalog(ctx context.Context, env *Env, made time.Time) error {
	if _, err := os.Stat(catalogPath(c.Data)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var where CatalogSettings
	store, err := where.open(ctx, env, catalogPath(c.Data), nil)
	if err != nil {
		return err
	}
	records := records.New(store)
	return errors.Join(pauseReporters(ctx, records), records.RepostGroups(ctx, made.Add(-repostMargin)), store.Close())
}

func (c *restoreCmd) open(env *Env) (io.ReadCloser, error) {
	if c.From == "-" {
		return io.NopCloser(env.Stdin), nil
	}
	info, err := os.Stat(c.From)
	if err != nil {
		return nil, usageErrorf("%v", err)
	}
	if !info.IsDir() {
		return os.Open(c.From)
	}
	return streamFrom(func(w io.Writer) error { return packDirectory(w, c.From) }), nil
}
