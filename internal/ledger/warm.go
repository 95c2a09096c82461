package ledger

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/disk"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// warmTexts reads the texts that the state has into the fold's table, after
// the start and beside everything else. Once it has ended, a text that the
// table lacks is a new one, and nothing is asked of the state for it.
func (l *Ledger) warmTexts(ctx context.Context) {
	if l.texts.read { // by the replay
		return
	}
	take := func(batch []storedText, last bool) (more bool, err error) {
		err = l.onFold(func() error { more = l.know(batch, last) && ctx.Err() == nil; return nil })
		if ctx.Err() != nil {
			return false, nil
		}
		return more, err
	}
	if err := l.readTexts(take); err != nil {
		l.logger.Warn("the dictionary could not be read ahead: texts are looked up one by one", "error", err)
	}
}

// lookupCost is about how many texts are read in order, beside the fold that
// takes them in, in the time in which one is looked up.
const lookupCost = 32

// warmReplay reads all texts once the replay has looked up so many that this
// would have been no dearer, if there is room for all of them. So a start takes
// at most twice the cheaper of the two, without knowing the tail.
func (l *Ledger) warmReplay(ctx context.Context) error {
	t := l.texts
	if t.read || t.asked*lookupCost < t.next || int64(t.next)*textSlotBytes*5/4 > t.known.most {
		return nil
	}
	t.read = true
	t.known.reserve(t.next)
	type read struct {
		texts []storedText
		last  bool
	}
	batches, over, failed := make(chan read, replayAhead), make(chan struct{}), error(nil)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer close(over)
	reader.Go(func() {
		defer close(batches)
		failed = l.readTexts(func(batch []storedText, last bool) (bool, error) {
			select {
			case batches <- read{slices.Clone(batch), last}:
				return true, nil
			case <-over:
				return false, nil
			}
		})
	})
	for r := range batches {
		if !l.know(r.texts, r.last) || ctx.Err() != nil {
			return nil
		}
	}
	return failed
}

// warmTogether is how many texts the fold takes in between two blocks.
const warmTogether = 2048

// storedText is one text of the state as the fold's table has it.
type storedText struct {
	hash   block.Hash
	number uint64
}

// readTexts reads the texts of the state, as long as take wants more of them.
func (l *Ledger) readTexts(take func(batch []storedText, last bool) (more bool, err error)) error {
	l.mu.RLock()
	from := l.base.acquire()
	l.mu.RUnlock()
	defer func() { _ = from.release() }() // a snapshot's error is none of this reader's
	it, err := from.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{state.KeyText}, UpperBound: []byte{state.KeyText + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	batch := make([]storedText, 0, warmTogether)
	var org string
	hasher := l.key.Texts(org)
	for ok := it.First(); ok; ok = it.Next() {
		name, text, isText := state.CutOrg(it.Key()[1:])
		if !isText || len(it.Value()) != 8 {
			return meter.Errorf(meter.KindCorrupt, "a text of the dictionary is damaged")
		}
		if name != org {
			org, hasher = name, l.key.Texts(name)
		}
		batch = append(batch, storedText{hasher.Hash(text), binary.BigEndian.Uint64(it.Value())})
		if len(batch) == warmTogether {
			if more, err := take(batch, false); err != nil || !more {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := it.Error(); err != nil {
		return disk.Unreadable(err, "the dictionary cannot be read")
	}
	_, err = take(batch, true)
	return err
}

// know adds texts to the fold's table, which has all of them with the last; more
// is false when it has no room. Fold goroutine.
func (l *Ledger) know(batch []storedText, last bool) (more bool) {
	t := l.texts
	t.hashes = t.hashes[:0]
	for _, text := range batch {
		t.hashes = append(t.hashes, text.hash)
	}
	t.warmed += t.known.warm(t.hashes)
	for _, text := range batch {
		if number, _ := t.known.get(text.hash); number == 0 && !t.known.full() {
			t.known.put(text.hash, text.number)
		}
	}
	if last {
		t.known.completed()
	}
	return !t.known.full()
}
