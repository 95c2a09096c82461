package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/cell"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// delta is what the fold has added since the last freeze. A checkpoint writes
// one delta and the sequence it reaches in one atomic batch.
type delta struct {
	table    *cell.Table
	texts    *textDelta // set at the freeze
	ids      *idset.Frozen
	meters   map[*meterState]struct{}
	deleted  []*meterState
	orgs     map[*orgState]struct{}
	families map[*orgState][]*family // made when first needed
	headers  []headerNote
	verdicts map[uint64][]byte                    // packed, of blocks with other than accepted rows
	voids    map[uint64]map[uint32]state.VoidNote // block, row
	notes    []keyValue                           // conflicts: written as they are
	side     int64                                // memory of notes, headers, verdicts and voids
	events   int
	bytes    int64
	applied  uint64
	accepted int64
	sum      [16]byte
	nextText uint64
	version  uint32
	started  int64 // acceptance time of the first block in it
	partial  bool  // some meters hold their share of block applied+1 too, see portions.go
	records  []keyValue
	counts   changes // of groups
}

type keyValue struct{ key, value []byte }

func newDelta(applied uint64, accepted int64, sum [16]byte) *delta {
	return &delta{table: cell.NewTable(0), meters: map[*meterState]struct{}{}, orgs: map[*orgState]struct{}{}, families: map[*orgState][]*family{},
		verdicts: map[uint64][]byte{}, voids: map[uint64]map[uint32]state.VoidNote{}, applied: applied, accepted: accepted, sum: sum}
}

// What entries of a delta take in memory beside their bytes.
const (
	noteBytes    = 96
	headerBytes  = 224
	verdictBytes = 64
	voidBytes    = 160
)

func (d *delta) note(key, value []byte) {
	d.notes = append(d.notes, keyValue{key, value})
	d.side += int64(len(key)+len(value)) + noteBytes
}

// base is a consistent view of the stored state that readers share. It is
// replaced under Ledger.mu in the same step that drops the frozen delta, so no
// reader sees a delta twice or not at all.
type base struct {
	snap *pebble.Snapshot
	refs atomic.Int32
}

func newBase(db *pebble.DB) *base {
	b := &base{snap: db.NewSnapshot()}
	b.refs.Store(1)
	return b
}

func (b *base) acquire() *base { b.refs.Add(1); return b }

func (b *base) release() error {
	if b.refs.Add(-1) == 0 {
		return b.snap.Close()
	}
	return nil
}

// noteBlock records that a block has been folded. l.mu is held.
func (l *Ledger) noteBlock(org *orgState, it *foldItem) {
	d := l.active
	header := it.header // a copy: the list must not keep the item with its rows and answers
	h := &header
	d.headers = append(d.headers, headerNote{org.name, h})
	d.side += headerBytes
	if it.rows != nil {
		org.record.Reached.NoteHeader(h)
		if v := state.PackVerdicts(l.fold.verdicts); v != nil {
			d.verdicts[h.Sequence] = v
			d.side += int64(len(v)) + verdictBytes
			for i, verdict := range l.fold.verdicts {
				if verdict == meter.Conflict {
					d.note(state.ConflictKey(org.name, it.rows.Hashes[i], h.Sequence, uint32(i)), nil)
				}
			}
		}
		d.events += it.rows.N
	}
	d.bytes += int64(it.bytes)
	if d.started == 0 {
		d.started = h.Accepted.UnixNano()
	}
	d.applied, d.accepted, d.sum = h.Sequence, h.Accepted.UnixNano(), h.Sum()
	d.orgs[org] = struct{}{}
	org.publish()
	l.applied.Store(h.Sequence)
}

// checkpointer runs the flushes and merges that the fold starts.
type checkpointer struct {
	busy   bool          // fold goroutine only: a flush is under way
	done   chan struct{} // closed when it has been installed
	failed error
	room   int   // for identities in the active delta, when it was empty; fold goroutine only
	bytes  int64 // of the delta being written; fold goroutine only

	progress progress

	mu     sync.Mutex
	merged []*finishedMerge // waiting to be named by the next checkpoints, one each
	merge  int              // merges under way

	copying sync.Mutex // held by a commit and by a backup of the state

	dirty recomputer
}

type finishedMerge struct {
	merge *idset.Merge
	info  idset.RunInfo
}

// due says whether the active delta should be written.
func (l *Ledger) due() bool {
	d := l.active
	return l.additions() >= l.limits.CheckpointEvents || d.bytes >= l.limits.CheckpointBytes || l.held() >= l.limits.CellBytes/4
}

// held returns the memory of the active delta. The limit covers two like it: the
// one being folded and the one being written. Fold goroutine.
func (l *Ledger) held() int64 {
	return l.active.table.Bytes() + l.active.side + l.texts.added.memory()
}

// heldFull is the size of the active delta from which folding waits for the
// checkpoint under way. In a replay, beside which nothing else is held, it is
// all that the limit leaves for one being written, now or once it serves.
func (l *Ledger) heldFull() int64 {
	most := l.limits.CellBytes / 8 * 3
	switch {
	case !l.replaying:
		return most
	case l.ckpt.busy:
		return max(most, l.limits.CellBytes-l.ckpt.bytes)
	default:
		return l.limits.CellBytes - most
	}
}

// additions counts what the active delta holds apart from cells. A backfill
// adds texts but no events.
func (l *Ledger) additions() int {
	return max(l.active.events, len(l.texts.added.texts))
}

// filled is the part of the active delta that is filled, in 1/filledParts: of its
// memory, its room for identities or its additions, whichever is most.
func (l *Ledger) filled() int64 {
	room := int64(max(1, l.ckpt.room))
	return max(l.held()*filledParts/l.heldFull(), (room-int64(l.ids.Free()))*filledParts/room, int64(l.additions())*filledParts/int64(2*l.limits.CheckpointEvents))
}

// keepPace waits while the active delta is filled further than the checkpoint
// under way is done. Fold goroutine.
func (l *Ledger) keepPace() {
	if !l.ckpt.busy || l.replaying {
		return
	}
	if filled := l.filled(); l.ckpt.progress.behind(filled) {
		start := l.now()
		l.ckpt.progress.await(filled)
		l.timing.foldWaited(l.now().Sub(start))
	}
}

// makeRoom starts a checkpoint when one is due, and waits for the one before
// as far as it is behind, and for its end when the recent identities or the
// active cells have no room for the block. A replay starts one only when there
// is no room: nobody waits for its blocks, and a crash meanwhile loses nothing.
func (l *Ledger) makeRoom(it *foldItem) error {
	rows := 0
	if it.rows != nil {
		rows = it.rows.N
	}
	l.keepPace()
	full := l.ids.Free() < rows || l.held() >= l.heldFull() || l.additions() >= 2*l.limits.CheckpointEvents
	if !full && (l.replaying || !l.due()) {
		return nil
	}
	if l.ckpt.busy && !full {
		select {
		case <-l.ckpt.done:
		default:
			return nil
		}
	}
	if err := l.flushed(); err != nil {
		return err
	}
	l.freeze(nil)
	return nil
}

// flushed waits for the flush under way, if there is one. Fold goroutine.
func (l *Ledger) flushed() error {
	if l.ckpt.busy {
		select {
		case <-l.ckpt.done:
		default:
			start := l.now()
			<-l.ckpt.done
			l.timing.foldWaited(l.now().Sub(start))
		}
		l.ckpt.busy = false
	}
	return l.ckpt.failed
}

// freeze swaps the active delta for an empty one and starts writing it. part is
// the block of which only some meters have been counted, nil between blocks.
// Fold goroutine, no flush under way.
func (l *Ledger) freeze(part *foldItem) {
	l.ckpt.bytes = l.held()
	l.mu.Lock()
	d := l.active
	l.active = newDelta(d.applied, d.accepted, d.sum)
	if t := l.spareTable.Swap(nil); t != nil {
		l.active.table = t
	}
	d.texts = l.texts.freeze()
	d.ids = l.ids.Freeze()
	if d.partial = part != nil; d.partial {
		d.ids.Before(part.header.Sequence)
	}
	d.nextText, d.version = l.texts.next, l.nextVersion
	d.snapshotRecords()
	l.frozen = d
	l.mu.Unlock()
	l.ckpt.busy, l.ckpt.done, l.ckpt.room = true, make(chan struct{}), l.ids.Free()
	l.ckpt.progress.begin(d)
	go l.flush(d, l.ckpt.done)
}

// snapshotRecords copies the records that the fold goes on changing.
func (d *delta) snapshotRecords() {
	for o := range d.orgs {
		v, _ := json.Marshal(&o.record)
		d.records = append(d.records, keyValue{state.OrgKey(state.KeyOrg, o.name, ""), v})
	}
	for m := range d.meters {
		v, _ := json.Marshal(&m.record)
		d.records = append(d.records, keyValue{state.OrgKey(state.KeyMeter, m.Org, m.record.Meter.Key), v})
		if m.groups.changed {
			d.counts.set(state.VersionKey(state.KeyGroupCount, m.record.Version), m.groups.encode())
			m.groups.changed = false
		}
		m.frozen = m.record
	}
}

// flush writes a frozen delta and installs it.
func (l *Ledger) flush(d *delta, done chan struct{}) {
	defer close(done)
	defer l.ckpt.progress.end()
	start := l.now()
	if err := l.writeDelta(d); err != nil {
		l.ckpt.failed = err
		l.fatal(fmt.Sprintf("checkpoint at block %d: %v", d.applied, err), err)
		return
	}
	l.timing.checkpointed(l.now(), l.now().Sub(start))
	l.jobs.Start(context.Background(), l.merge)
}

func (l *Ledger) writeDelta(d *delta) error {
	l.awaitMerging()
	l.ids.Prepare()
	run, err := d.ids.Write(func(n int) { l.ckpt.progress.step(int64(n) * identitySteps) })
	if err != nil {
		return fmt.Errorf("write the identities: %w", err)
	}
	l.ckpt.mu.Lock()
	var merged *finishedMerge
	if len(l.ckpt.merged) > 0 {
		merged, l.ckpt.merged = l.ckpt.merged[0], l.ckpt.merged[1:]
	}
	l.ckpt.mu.Unlock()
	// The run and a finished merge are named by this checkpoint, so that a
	// crash before it leaves the old files in force.
	l.mu.RLock()
	runs := l.ids.ManifestWith(d.ids, run, mergeOf(merged), infoOf(merged))
	l.mu.RUnlock()
	rec := state.CheckpointRecord{Applied: d.applied, AcceptedAt: d.accepted, Sum: hex.EncodeToString(d.sum[:]), NextText: d.nextText, NextVersion: d.version, Runs: runs}
	v, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	w, err := l.writeState(d, v)
	if err != nil {
		return err
	}
	defer w.close()
	l.ckpt.copying.Lock()
	defer l.ckpt.copying.Unlock()
	if err := w.commit(l.state); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := l.stopped(); err != nil { // the engine tells a failed commit by ending the process
		return err
	}
	l.noteTail(0, d.applied, true)
	next := newBase(l.state)
	l.mu.Lock()
	old := l.base
	l.base = next
	l.frozen = nil
	l.ids.Install(d.ids, run)
	if merged != nil {
		l.ids.InstallMerge(merged.merge, merged.info)
	}
	l.texts.drop()
	l.mu.Unlock()
	if err := old.release(); err != nil {
		return err
	}
	l.checkpointed.Store(d.applied)
	// Readers use a frozen table under the lock only, so nobody has it now.
	d.table.Reset()
	l.spareTable.Store(d.table)
	return l.ids.RemoveObsolete()
}

func mergeOf(f *finishedMerge) *idset.Merge {
	if f == nil {
		return nil
	}
	return f.merge
}

func infoOf(f *finishedMerge) idset.RunInfo {
	if f == nil {
		return idset.RunInfo{}
	}
	return f.info
}

// maxMerges lets a small merge run beside a long one, so that runs stay few.
const maxMerges = 2

// merge merges runs if enough have gathered. It is a job, so that the plan,
// which only Run lets go of, is made by the one who runs it.
func (l *Ledger) merge(ctx context.Context) {
	m := l.planMerge(ctx)
	if m == nil {
		return
	}
	info, err := m.Run(ctx)
	l.ckpt.mu.Lock()
	defer l.ckpt.mu.Unlock()
	l.ckpt.merge--
	switch {
	case err == nil:
		l.ckpt.merged = append(l.ckpt.merged, &finishedMerge{m, info})
	case ctx.Err() == nil:
		l.logger.Error("merging identity runs failed; it is tried again after the next checkpoint", "error", err)
	}
}

// planMerge chooses the runs, nil where none are to be merged now.
func (l *Ledger) planMerge(ctx context.Context) *idset.Merge {
	l.ckpt.mu.Lock()
	defer l.ckpt.mu.Unlock()
	if l.ckpt.merge >= maxMerges || ctx.Err() != nil {
		return nil
	}
	m := l.ids.PlanMerge()
	if m != nil {
		l.ckpt.merge++
	}
	return m
}

// Checkpoint writes what has been folded so far and waits for it.
func (l *Ledger) Checkpoint() error {
	return l.onFold(func() error {
		if err := l.flushed(); err != nil {
			return err
		}
		l.freeze(nil)
		return l.flushed()
	})
}

// onFold runs fn on the fold goroutine, between two blocks, and waits for it.
func (l *Ledger) onFold(fn func() error) error {
	result := make(chan error, 1)
	select {
	case l.foldJobs <- func() {
		if err := l.stopped(); err != nil {
			result <- err
			return
		}
		result <- fn()
	}:
		return <-result
	case <-l.folded:
		return errClosed
	}
}
