package disk

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Merges decides when stores merge their tables: each one at a time, as is the
// engine's default, and none before Start. The engine begins merges while it
// opens, waits for their end before it is open, and shares the processor with
// them, so that a start after a crash took as long as they did. What is in
// memory goes to tables all the same.
type Merges struct {
	mu      sync.Mutex
	started bool
	stores  []*scheduler
}

// Start lets the stores merge from now on. Any goroutine, any number of times.
func (m *Merges) Start() {
	m.mu.Lock()
	stores := m.stores
	m.started, m.stores = true, nil
	m.mu.Unlock()
	for _, s := range stores {
		s.start()
	}
}

// scheduler returns a new store's own; nil has started.
func (m *Merges) scheduler() *scheduler {
	s := &scheduler{}
	s.turn.L = &s.mu
	if m == nil {
		s.started = true
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		s.started = true
	} else {
		m.stores = append(m.stores, s)
	}
	return s
}

// scheduler implements pebble.CompactionScheduler for one store. What it
// returns as a merge's handle is itself.
//
// The engine calls TrySchedule under its own lock and does not ask again for
// what was refused: it waits until it is granted. It must be asked what waits
// without the lock here.
type scheduler struct {
	mu       sync.Mutex
	turn     sync.Cond // a grant has ended
	db       pebble.DBForCompaction
	started  bool
	closed   bool
	busy     bool // a merge runs, or is about to
	granting bool
	refused  bool // since the last look for what waits
}

// Register implements pebble.CompactionScheduler.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.closed = db, false // a new store is opened twice
}

// Unregister implements pebble.CompactionScheduler: no call of the store is
// under way, or comes, once it has returned.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.granting {
		s.turn.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started || s.closed || s.busy {
		s.refused = true
		return false, nil
	}
	s.busy = true
	return true, s
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler: it is always one.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {}

func (s *scheduler) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	if !s.busy {
		s.grant()
	}
}

// Done implements pebble.CompactionGrantHandle: a merge is over.
func (s *scheduler) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	s.grant()
}

// grant starts the merge that waits, if there is one. mu is held, and given up meanwhile.
func (s *scheduler) grant() {
	for s.granting {
		s.turn.Wait()
	}
	for again := true; again && s.started && s.db != nil && !s.closed && !s.busy; {
		// Busy meanwhile, so that what comes is refused and looked for again,
		// and never runs beside what is found.
		s.granting, s.busy, s.refused = true, true, false
		s.mu.Unlock()
		waits, _ := s.db.GetWaitingCompaction()
		granted := waits && s.db.Schedule(s)
		s.mu.Lock()
		if s.granting = false; !granted {
			s.busy = false // a granted one may be over already, or still run
		}
		again = s.refused
		s.turn.Broadcast()
	}
}

// Started implements pebble.CompactionGrantHandle.
func (s *scheduler) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (s *scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (s *scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}
