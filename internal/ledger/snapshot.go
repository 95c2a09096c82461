package ledger

import (
	"odometer/internal/ledger/state"
)

// Snapshot writes what has been folded so far and returns what is then stored,
// for who reads it with code of their own. Ingest goes on meanwhile.
func (l *Ledger) Snapshot() (*state.View, error) {
	if err := l.Checkpoint(); err != nil {
		return nil, err
	}
	l.mu.RLock()
	base := l.base.acquire()
	l.mu.RUnlock()
	ids := l.ids.Sealed()
	return &state.View{Log: l.log, Key: l.key, State: base.snap, Identities: ids, Now: l.clock, Damage: l.noteDamage, Release: func() {
		ids.Release()
		if err := base.release(); err != nil {
			l.logger.Error("release a snapshot", "error", err)
		}
	}}, nil
}
