package ledger

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// BackupInfo says what a backup holds.
type BackupInfo struct {
	Checkpoint uint64 // the state reaches this sequence
	Sequence   uint64 // the log reaches this sequence: the backup's totals are those at it
}

// Backup writes a consistent copy of the ledger into dir, which must not
// exist, while usage goes on being accepted. The state is copied first, the
// log after it, so the copied log never ends before the copied state.
func (l *Ledger) Backup(ctx context.Context, dir string) (BackupInfo, error) {
	var info BackupInfo
	if _, err := l.fs.Stat(dir); err == nil {
		return info, meter.Errorf(meter.KindConflict, "%s exists; a backup needs a new directory", dir)
	}
	if err := l.Checkpoint(); err != nil {
		return info, err
	}
	if err := disk.MakeDir(l.fs, dir); err != nil {
		return info, err
	}
	// Under ckpt.copying no checkpoint commits, so the runs pinned are those
	// that the copied state names.
	l.ckpt.copying.Lock()
	rec, err := l.readCheckpoint()
	if err == nil {
		err = l.copyState(dir, rec)
	}
	l.ckpt.copying.Unlock()
	if err != nil {
		return info, err
	}
	if err := ctx.Err(); err != nil {
		return info, err
	}
	if err := l.log.Checkpoint(filepath.Join(dir, logFolder)); err != nil {
		return info, err
	}
	info.Checkpoint = rec.Applied
	info.Sequence, err = lastOf(l, filepath.Join(dir, logFolder))
	return info, err
}

func (l *Ledger) copyState(dir string, rec state.CheckpointRecord) error {
	pin, err := l.ids.Pin(rec.Runs)
	if err != nil {
		return err
	}
	defer pin.Release()
	if err := pin.LinkTo(filepath.Join(dir, runFolder)); err != nil {
		return err
	}
	if err := l.state.Checkpoint(filepath.Join(dir, stateFolder), pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy the state to %s: %w", dir, err)
	}
	return nil
}

// lastOf opens the copied log to learn where it ends, which also proves that it opens.
func lastOf(l *Ledger, dir string) (uint64, error) {
	cache := pebble.NewCache(1 << 20)
	defer cache.Unref()
	copied, err := log.Open(l.fs, dir, storeWatch{l}, nil, cache)
	if err != nil {
		return 0, err
	}
	seq, _, err := copied.Last()
	if cerr := copied.Close(); err == nil {
		err = cerr
	}
	return seq, err
}
