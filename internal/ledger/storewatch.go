package ledger

import (
	"context"
	"fmt"
	"log/slog"
)

// storeWatch is told what the stores say. A failed commit comes here as Fatalf.
type storeWatch struct{ l *Ledger }

func (w storeWatch) Infof(format string, args ...any) {
	if w.l.logger.Enabled(context.Background(), slog.LevelDebug) {
		w.l.logger.Debug("store: " + fmt.Sprintf(format, args...))
	}
}

func (w storeWatch) Errorf(format string, args ...any) {
	w.l.logger.Error("store: " + fmt.Sprintf(format, args...))
}

func (w storeWatch) Fatalf(format string, args ...any) {
	var cause error
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			cause = err
		}
	}
	w.l.fatal("store: "+fmt.Sprintf(format, args...), cause)
}

// NoteFile counts a damaged file of a store.
func (w storeWatch) NoteFile(path string) { w.l.notePlace(path) }

// NoRoom ends the process when the disk is full while a store writes on its
// own account: the engine would try again without a pause and hold up everybody.
func (w storeWatch) NoRoom(err error) {
	l := w.l
	message := fmt.Sprintf("the disk of %s is full: %v", l.dir, err)
	if usage, failed := l.fs.GetDiskUsage(l.dir); failed == nil {
		message = fmt.Sprintf("the disk of %s is full, %d bytes are free: %v", l.dir, usage.AvailBytes, err)
	}
	go l.fatal(message, nil) // the engine waits for us, and holds its lock
}

// Compacted wakes a checkpoint that waits for the store's merging of tables.
func (w storeWatch) Compacted() {
	select {
	case w.l.compacted <- struct{}{}:
	default:
	}
}
