package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
	"odometer/internal/meter"
)

// texts is the dictionary of group and distinct values: text <-> number.
// Numbers are given by the fold alone, in sequence order, so they are a
// function of the log. Memory is bounded in bytes: two generations of a cache
// each way, plus the texts added since the last checkpoint, which the delta's
// limit counts.
type texts struct {
	db    *pebble.DB
	limit int   // texts in both generations of a cache
	bytes int64 // and their memory

	// Fold goroutine only.
	next       uint64
	young      map[string]uint64 // org-prefixed text -> number
	old        map[string]uint64
	youngBytes int64
	keyBuf     []byte

	mu        sync.RWMutex
	byID      map[uint64]string // reverse, bounded like the forward cache
	byIDOld   map[uint64]string
	byIDBytes int64
	added     *textDelta // since the last freeze
	frozen    *textDelta // being written
}

// textDelta is what was added between two freezes: texts of consecutive numbers.
type textDelta struct {
	ids   map[string]uint64 // org-prefixed text -> number
	first uint64            // number of the first of texts
	texts []string
	bytes int64
}

// What a text takes in memory beside its bytes: in a cache, and among those
// added. A checkpoint's batch holds an added one twice more, which its bytes count.
const (
	cachedTextBytes = 64
	addedTextBytes  = 96
)

func newTextDelta(first uint64) *textDelta {
	return &textDelta{ids: map[string]uint64{}, first: first}
}

// text returns the text of a number that was added here.
func (d *textDelta) text(id uint64) (string, bool) {
	if d == nil || id < d.first || id-d.first >= uint64(len(d.texts)) {
		return "", false
	}
	return d.texts[id-d.first], true
}

func (d *textDelta) add(key string, prefix int, id uint64) {
	d.ids[key] = id
	d.texts = append(d.texts, key[prefix:])
	d.bytes += 3*int64(len(key)) + addedTextBytes
}

func newTexts(db *pebble.DB, limit int, bytes int64, next uint64) *texts {
	if next == 0 {
		next = state.EmptyText + 1
	}
	return &texts{db: db, limit: limit, bytes: bytes, next: next, young: map[string]uint64{}, old: map[string]uint64{},
		byID: map[uint64]string{}, byIDOld: map[uint64]string{}, added: newTextDelta(next)}
}

// orgTexts interns for one organization; fold goroutine only.
type orgTexts struct {
	t      *texts
	prefix string
}

func (t *texts) forOrg(org string) orgTexts {
	return orgTexts{t, string(state.AppendOrg(nil, org))}
}

func (o orgTexts) intern(text []byte) (uint64, error) {
	t := o.t
	t.keyBuf = append(append(t.keyBuf[:0], o.prefix...), text...)
	if id, ok := t.young[string(t.keyBuf)]; ok {
		return id, nil
	}
	id, ok := t.old[string(t.keyBuf)]
	key := string(t.keyBuf)
	if !ok {
		var err error
		if id, ok, err = t.find(key); err != nil {
			return 0, err
		}
	}
	if !ok {
		id = t.next
		t.next++
		t.mu.Lock()
		t.added.add(key, len(o.prefix), id)
		t.mu.Unlock()
	}
	size := int64(len(key)) + cachedTextBytes
	if len(t.young) >= t.limit/2 || t.youngBytes+size > t.bytes/2 {
		t.old, t.young, t.youngBytes = t.young, make(map[string]uint64, 1024), 0
	}
	t.young[key] = id
	t.youngBytes += size
	return id, nil
}

// find looks a text up outside the fold's own cache. Safe for readers.
func (t *texts) find(key string) (uint64, bool, error) {
	t.mu.RLock()
	id, ok := t.added.ids[key]
	if !ok && t.frozen != nil {
		id, ok = t.frozen.ids[key]
	}
	t.mu.RUnlock()
	if ok {
		return id, true, nil
	}
	v, closer, err := t.db.Get(append([]byte{state.KeyText}, key...))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look up a text: %w", err)
	}
	id = binary.BigEndian.Uint64(v)
	return id, true, closer.Close()
}

// lookup returns the number of a text for a reader, and false if nobody has used the text.
func (t *texts) lookup(org, text string) (uint64, bool, error) {
	if text == "" {
		return state.EmptyText, true, nil
	}
	return t.find(string(state.AppendOrg(nil, org)) + text)
}

// text returns the text of a number.
func (t *texts) text(id uint64) (string, error) {
	if id == state.EmptyText {
		return "", nil
	}
	t.mu.RLock()
	s, ok := t.byID[id]
	if !ok {
		s, ok = t.byIDOld[id]
	}
	if !ok {
		s, ok = t.added.text(id)
	}
	if !ok {
		s, ok = t.frozen.text(id)
	}
	t.mu.RUnlock()
	if ok {
		return s, nil
	}
	v, closer, err := t.db.Get(state.SeqKey(state.KeyTextByNumber, id))
	if err != nil {
		return "", fmt.Errorf("look up text %d: %w", id, err)
	}
	s = string(v)
	if err := closer.Close(); err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	size := int64(len(s)) + cachedTextBytes
	if len(t.byID) >= t.limit/2 || t.byIDBytes+size > t.bytes/2 {
		t.byIDOld, t.byID, t.byIDBytes = t.byID, make(map[uint64]string, 1024), 0
	}
	if _, again := t.byID[id]; !again { // another reader may have been first
		t.byID[id] = s
		t.byIDBytes += size
	}
	return s, nil
}

// freeze hands what was added since the last freeze to the checkpoint.
func (t *texts) freeze() *textDelta {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen, t.added = t.added, newTextDelta(t.next)
	return t.frozen
}

// drop forgets the frozen additions once they are stored.
func (t *texts) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen = nil
}

// write puts the additions into the checkpoint's batch.
func (d *textDelta) write(b *pebble.Batch) error {
	var v [8]byte
	prefixed := make([]byte, 0, 1+meter.MaxGroupBytes+block.MaxOrgBytes+2)
	for key, id := range d.ids {
		binary.BigEndian.PutUint64(v[:], id)
		if err := b.Set(append(append(prefixed, state.KeyText), key...), v[:], nil); err != nil {
			return err
		}
		text, _ := d.text(id)
		if err := b.Set(state.SeqKey(state.KeyTextByNumber, id), []byte(text), nil); err != nil {
			return err
		}
	}
	return nil
}
