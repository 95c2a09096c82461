package ledger

import (
	"sync"
	"time"
)

// Stats is the ledger's standing, for metrics.
type Stats struct {
	Organizations  []OrgStats
	Last           uint64 // sequence of the last block stored and folded
	Checkpointed   uint64 // sequence that the last checkpoint reaches
	WaitingBytes   int64  // stored or staged, not yet answered
	Waiting        int    // requests
	Identities     int64  // bytes of memory held for identities
	CellBytes      int64  // of the active cells
	DiskLow        bool
	Failed         bool
	Damaged        int           // blocks of the log, tables and pages of the stores
	Appends        uint64        // syncs of the log
	AppendTime     time.Duration // spent in them
	AppendBlocks   uint64
	Checkpoints    uint64
	CheckpointTime time.Duration
	LastCheckpoint time.Duration
	CheckpointedAt time.Time // end of the last one; zero since the start
	FoldWaits      Waits     // of the fold for a checkpoint
}

// Waits counts pauses by their length.
type Waits struct {
	Count  uint64
	Time   time.Duration
	Within map[time.Duration]uint64 // how many were no longer than that
}

// waitBounds are the lengths of Waits.Within.
var waitBounds = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second}

func (w *Waits) add(d time.Duration) {
	if w.Within == nil {
		w.Within = map[time.Duration]uint64{}
	}
	w.Count++
	w.Time += d
	for _, most := range waitBounds {
		if d <= most {
			w.Within[most]++
		}
	}
}

// OrgStats counts the verdicts of one organization, for all time.
type OrgStats struct {
	Organization                              string
	Accepted, Duplicates, Conflicts, Rejected uint64
	KeptRejections, Voided                    uint64
	Stopped                                   string // "" or why
	Backfilling                               int    // meters whose backfill is under way
	Meters                                    int
}

// timing accumulates what the appender and the checkpoints spend.
type timing struct {
	mu             sync.Mutex
	appends        uint64
	blocks         uint64
	appendTime     time.Duration
	checkpoints    uint64
	checkpointTime time.Duration
	lastCheckpoint time.Duration
	checkpointedAt time.Time
	foldWaits      Waits
}

func (t *timing) foldWaited(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.foldWaits.add(d)
}

func (t *timing) appended(blocks int, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.appends++
	t.blocks += uint64(blocks)
	t.appendTime += d
}

func (t *timing) checkpointed(at time.Time, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkpoints++
	t.checkpointTime += d
	t.lastCheckpoint, t.checkpointedAt = d, at
}

// Stats returns the ledger's standing.
func (l *Ledger) Stats() Stats {
	s := Stats{Last: l.applied.Load(), Checkpointed: l.checkpointed.Load(), Identities: l.ids.Memory(),
		DiskLow: l.diskLow.Load(), Failed: l.failed.Load() != nil, Damaged: l.damagedCount()}
	s.WaitingBytes, s.Waiting = l.queue.load()
	l.timing.mu.Lock()
	t := &l.timing
	s.Appends, s.AppendBlocks, s.AppendTime = t.appends, t.blocks, t.appendTime
	s.Checkpoints, s.CheckpointTime, s.LastCheckpoint = t.checkpoints, t.checkpointTime, t.lastCheckpoint
	s.CheckpointedAt = t.checkpointedAt
	s.FoldWaits = t.foldWaits
	s.FoldWaits.Within = map[time.Duration]uint64{} // each length is told, also one of which there is none
	for _, most := range waitBounds {
		s.FoldWaits.Within[most] = t.foldWaits.Within[most]
	}
	l.timing.mu.Unlock()
	l.mu.RLock()
	defer l.mu.RUnlock()
	s.CellBytes = l.held()
	l.orgsMu.RLock()
	defer l.orgsMu.RUnlock()
	for _, o := range l.orgs {
		r := &o.record
		one := OrgStats{Organization: o.name, Accepted: r.Accepted, Duplicates: r.Duplicates, Conflicts: r.Conflicts, Rejected: r.Rejected,
			KeptRejections: r.KeptRejections, Voided: r.Voided, Meters: len(o.meters)}
		if r.Stopped != nil {
			one.Stopped = r.Stopped.Reason
		}
		for _, m := range o.meters {
			if !m.record.Backfilled() {
				one.Backfilling++
			}
		}
		s.Organizations = append(s.Organizations, one)
	}
	return s
}
