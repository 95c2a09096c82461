package ledger

import (
	"context"
	"encoding/binary"

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
	if err := l.readTexts(ctx, l.onFold); err != nil {
		l.logger.Warn("the dictionary could not be read ahead: texts are looked up one by one", "error", err)
	}
}

// lookupCost is about how many texts are read in order in the time in which one is looked up.
const lookupCost = 16

// warmReplay reads all texts once the replay has looked up so many that this
// would have been no dearer, if there is room for all of them. So a start takes
// at most twice the cheaper of the two, without knowing the tail.
func (l *Ledger) warmReplay(ctx context.Context) error {
	t := l.texts
	if t.read || t.asked*lookupCost < t.next || int64(t.next)*textSlotBytes*5/4 > t.known.most {
		return nil
	}
	t.read = true
	return l.readTexts(ctx, func(fn func() error) error { return fn() })
}

// warmTogether is how many texts the fold takes in between two blocks.
const warmTogether = 2048

// storedText is one text of the state as the fold's table has it.
type storedText struct {
	hash   block.Hash
	number uint64
}

// readTexts reads the texts of the state into the table; fold runs what changes it.
func (l *Ledger) readTexts(ctx context.Context, fold func(func() error) error) error {
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
			if more, err := l.know(ctx, fold, batch, false); err != nil || !more {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := it.Error(); err != nil {
		return disk.Unreadable(err, "the dictionary cannot be read")
	}
	_, err = l.know(ctx, fold, batch, true)
	return err
}

// know adds texts to the fold's table; more is false when it has no room or the ledger closes.
func (l *Ledger) know(ctx context.Context, fold func(func() error) error, batch []storedText, last bool) (more bool, err error) {
	err = fold(func() error {
		known := l.texts.known
		for _, t := range batch {
			if number, _ := known.get(t.hash); number == 0 && !known.full() {
				known.put(t.hash, t.number)
			}
		}
		if last {
			known.completed()
		}
		more = !known.full() && ctx.Err() == nil
		return nil
	})
	if ctx.Err() != nil {
		return false, nil
	}
	return more, err
}
