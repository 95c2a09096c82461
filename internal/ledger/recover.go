package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/idset"
	"odometer/internal/ledger/log"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// recover loads the last checkpoint and folds what the log has after it.
func (l *Ledger) recover(ctx context.Context) error {
	rec, err := l.readCheckpoint()
	if err != nil {
		return err
	}
	last, header, err := l.log.Last()
	if err != nil {
		return err
	}
	if rec.Applied > last {
		return meter.Errorf(meter.KindCorrupt, "the state has block %d applied but the log ends at %d: the log has lost its end; restore a backup", rec.Applied, last)
	}
	if err := l.checkTail(last, rec.Applied, l.freshState); err != nil {
		return err
	}
	l.ids, err = idset.Open(l.fs, filepath.Join(l.dir, runFolder), rec.Runs, l.idOptions())
	if err != nil {
		return fmt.Errorf("open the identity index: %w", err)
	}
	l.texts = newTexts(l.state, l.key, l.limits, rec.NextText)
	l.nextVersion = rec.NextVersion
	if l.orgs, err = readOrgs(l.state); err != nil {
		return err
	}
	if err := readGroupCounts(l.state, l.orgs); err != nil {
		return err
	}
	sum, err := decodeSum(rec.Sum)
	if err != nil {
		return err
	}
	l.active = newDelta(rec.Applied, rec.AcceptedAt, sum)
	l.base = newBase(l.state)
	l.applied.Store(rec.Applied)
	l.checkpointed.Store(rec.Applied)
	l.replaying = true
	err = l.replay(ctx, rec, sum, last)
	l.replaying = false
	if err != nil {
		return err
	}
	l.tail = logTail{seq: last, acceptedAt: l.active.accepted}
	if last > 0 {
		h, err := block.DecodeHeader(header)
		if err != nil {
			return fmt.Errorf("the last header of the log: %w", err)
		}
		if rec.Applied == last && h.Sum() != sum {
			return meter.Errorf(meter.KindCorrupt, "the state was folded from another log: block %d differs; restore a backup", last)
		}
		l.tail.sum = h.Sum()
		l.tail.acceptedAt = h.Accepted.UnixNano()
	}
	return nil
}

// noteTail keeps the mark; either number may be 0.
func (l *Ledger) noteTail(acknowledged, checkpoint uint64, sync bool) {
	if err := l.mark.Note(acknowledged, checkpoint, sync); err != nil {
		l.logger.Warn("the tail mark cannot be written: a loss of the log's end would not be noticed", "file", l.markPath(), "error", err)
	}
}

func (l *Ledger) markPath() string { return filepath.Join(l.dir, markName) }

// checkTail compares what the stores hold with what the mark says they held.
// last is the end of the log, applied that of the state; fresh says that the
// state was made just now, to be folded anew.
func (l *Ledger) checkTail(last, applied uint64, fresh bool) error {
	path := l.markPath()
	acknowledged, checkpoint, damaged, err := l.mark.Open(l.fs, path)
	if err != nil {
		return err
	}
	if damaged {
		l.logger.Warn("the tail mark is damaged: whether the log has lost its end cannot be told", "file", path)
	}
	if want := acknowledged; want > last {
		return meter.Errorf(meter.KindCorrupt, "blocks %d to %d were acknowledged and are not there: the log ends at %d, a write-ahead log (%s) is missing or cut short; "+
			"put it back or restore a backup. To go on without them, remove %s", last+1, want, last, filepath.Join(l.dir, logFolder, "*.log"), path)
	}
	if want := checkpoint; want > applied && !fresh {
		return meter.Errorf(meter.KindCorrupt, "the state was written up to block %d and now ends at %d: a write-ahead log (%s) is missing or cut short; "+
			"put it back, restore a backup, or remove the folders %s and %s of %s to have the log counted anew",
			want, applied, filepath.Join(l.dir, stateFolder, "*.log"), stateFolder, runFolder, l.dir)
	}
	l.mark.Reset(last, applied)
	l.noteTail(last, applied, false)
	return nil
}

func (l *Ledger) idOptions() idset.Options {
	// A checkpoint's events and some blocks fit below 60 %; up to 80 % there is
	// room for what arrives while the checkpoint before is still being written.
	slots := max(1<<16, (l.limits.CheckpointEvents+2*maxBlockRows)*10/6)
	return idset.Options{RecentSlots: slots, OnRepair: func(r idset.Repair) {
		l.logger.Warn("damaged part of the identity index made anew from its pages", "file", r.File, "part", r.Part, "error", r.Err)
	}}
}

func decodeSum(s string) (sum [16]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 0 && len(b) != len(sum) {
		return sum, meter.Errorf(meter.KindCorrupt, "the checkpoint record is damaged")
	}
	copy(sum[:], b)
	return sum, nil
}

func (l *Ledger) readCheckpoint() (state.CheckpointRecord, error) {
	var rec state.CheckpointRecord
	v, closer, err := l.state.Get([]byte{state.KeyCheckpoint})
	if errors.Is(err, pebble.ErrNotFound) {
		return rec, nil
	}
	if err != nil {
		return rec, disk.Unreadable(err, "the checkpoint record cannot be read")
	}
	defer closer.Close()
	if err := json.Unmarshal(v, &rec); err != nil {
		return rec, meter.WrapError(meter.KindCorrupt, err, "the checkpoint record is damaged")
	}
	return rec, nil
}

// replayed is one block read back, on its way to the fold.
type replayed struct {
	item *foldItem
	size int64 // of its rows in memory
	err  error
	stop *state.StopNote // the body is damaged: stop its organization
}

// replayWindow bounds the blocks that are read ahead of the fold: in number, in
// how many are decoded at once, and in the memory of those that wait.
type replayWindow struct {
	decoding chan struct{}
	mu       sync.Mutex
	freed    sync.Cond
	bytes    int64
}

const (
	replayAhead    = 8
	replayDecoding = 2
)

func newReplayWindow() *replayWindow {
	w := &replayWindow{decoding: make(chan struct{}, replayDecoding)}
	w.freed.L = &w.mu
	return w
}

// await waits until what has been decoded leaves room for more.
func (w *replayWindow) await(ctx context.Context, most int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes > most && ctx.Err() == nil {
		w.freed.Wait()
	}
}

func (w *replayWindow) add(n int64) {
	w.mu.Lock()
	w.bytes += n
	w.mu.Unlock()
	w.freed.Broadcast()
}

// replay folds the blocks after the checkpoint. Bodies are read and decoded
// ahead by workers; folding is in order.
func (l *Ledger) replay(ctx context.Context, rec state.CheckpointRecord, sum [16]byte, last uint64) error {
	tell := l.replayTeller(rec.Applied, last)
	window := newReplayWindow()
	var readers sync.WaitGroup
	defer readers.Wait() // the log may be closed once this has returned
	ctx, cancel := context.WithCancel(ctx)
	defer window.add(0) // lets the reader see that it is over
	defer cancel()
	slots := make(chan chan replayed, replayAhead)
	readers.Go(func() {
		defer close(slots)
		for seq := rec.Applied + 1; seq <= last; seq++ {
			one := make(chan replayed, 1)
			select {
			case slots <- one:
			case <-ctx.Done():
				return
			}
			window.await(ctx, l.limits.BytesInFlight)
			window.decoding <- struct{}{}
			readers.Go(func() {
				r := l.readBack(seq)
				window.add(r.size)
				<-window.decoding
				one <- r
			})
		}
	})
	for one := range slots {
		r := <-one
		if r.err != nil {
			return r.err
		}
		if r.item.header.Prev != sum {
			return meter.Errorf(meter.KindCorrupt, "block %d does not follow the block before it: the log's chain is broken; restore a backup", r.item.header.Sequence)
		}
		sum = r.item.header.Sum()
		if r.stop != nil {
			l.stopOrg(r.item, r.stop)
			continue
		}
		if err := l.makeRoom(r.item); err != nil {
			return err
		}
		if err := l.warmReplay(ctx); err != nil {
			return err
		}
		if _, err := l.foldBlock(r.item); err != nil {
			return fmt.Errorf("replay block %d: %w", r.item.header.Sequence, err)
		}
		window.add(-r.size)
		tell(r.item.header.Sequence)
	}
	return ctx.Err()
}

// replayLogged is how often the log says how far the replay is.
const replayLogged = 2 * time.Second

// replayTeller says at the start how much is to be folded, and now and then how far that is.
func (l *Ledger) replayTeller(from, to uint64) func(seq uint64) {
	if from == to {
		return func(uint64) {}
	}
	start := l.now()
	logged := start
	l.logger.Info("folding the log's tail", "from_block", from+1, "to_block", to)
	return func(seq uint64) {
		now := l.now()
		switch {
		case seq == to:
			l.logger.Info("folded the log's tail", "blocks", to-from, "took", now.Sub(start).Round(time.Millisecond).String())
		case now.Sub(logged) >= replayLogged:
			logged = now
			l.logger.Info("folding the log's tail", "block", seq, "to_block", to, "percent", 100*(seq-from)/(to-from))
		}
	}
}

// readBack reads one block of the log into the form that the fold takes.
func (l *Ledger) readBack(seq uint64) replayed {
	raw, err := l.log.Header(seq)
	if err != nil {
		return replayed{err: fmt.Errorf("a block of the log is missing or unreadable: %w", err)}
	}
	h, err := block.DecodeHeader(raw)
	if err != nil {
		return replayed{err: fmt.Errorf("header of block %d: %w", seq, err)}
	}
	it := &foldItem{header: h}
	body, err := log.ReadBody(l.log, &h)
	if err != nil && !disk.Damaged(err) {
		return replayed{err: fmt.Errorf("block %d: %w", seq, err)}
	}
	if err == nil && h.Kind == block.KindEvents {
		it.rows, err = block.Decode(body, l.key, true, h.Accepted.UnixNano())
	} else {
		it.control = body
	}
	if err != nil {
		return replayed{item: it, stop: &state.StopNote{Sequence: seq, Reason: l.noteDamage(&h, err)}}
	}
	it.bytes = len(body)
	r := replayed{item: it}
	if it.rows != nil {
		r.size = rowsBytes(it.rows)
	}
	return r
}

// stopOrg stops serving the organization of a damaged block.
func (l *Ledger) stopOrg(it *foldItem, note *state.StopNote) {
	org := l.org(it.header.Org)
	it.rows, it.control = nil, nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if org.record.Stopped == nil {
		org.record.Stopped = note
	}
	l.noteBlock(org, it)
}
