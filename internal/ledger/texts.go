package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"odometer/internal/ledger/block"
	"odometer/internal/ledger/state"
)

// texts is the dictionary of group and distinct values: text <-> number.
// Numbers are given by the fold alone, in sequence order, so they are a
// function of the log. The fold knows texts by their hashes, and looks one up
// in the state only where the table may have forgotten it.
type texts struct {
	db    *pebble.DB
	key   block.Key
	limit int   // texts in both generations of the readers' cache
	bytes int64 // and their memory

	// Fold goroutine only.
	next   uint64
	known  *textTable
	hashes []block.Hash // of texts that are warmed
	warmed uint64       // without meaning: what warm reads must be used
	asked  uint64       // of the state
	read   bool         // all of the state's were read at the start

	mu        sync.RWMutex
	byID      map[uint64]string // for readers
	byIDOld   map[uint64]string
	byIDBytes int64
	added     *textDelta // since the last freeze
	frozen    *textDelta // being written
}

// textDelta is what was added between two freezes: texts of consecutive
// numbers, one behind the other in one piece of memory.
type textDelta struct {
	ids   map[block.Hash]uint32 // place in texts
	first uint64                // number of the first of texts
	texts []addedText
	arena []byte
}

// addedText is where the arena has a text with its organization before it, as
// the state's keys have it.
type addedText struct {
	at     uint64
	length uint32
	prefix uint32
}

// What a text takes in memory beside its bytes: in the readers' cache, and among those added.
const (
	cachedTextBytes = 64
	addedTextBytes  = 64
)

func newTextDelta(first uint64) *textDelta {
	return &textDelta{ids: map[block.Hash]uint32{}, first: first}
}

// memory returns how much the texts take.
func (d *textDelta) memory() int64 { return int64(len(d.arena)) + int64(len(d.texts))*addedTextBytes }

// text returns the text of a number that was added here.
func (d *textDelta) text(id uint64) (string, bool) {
	if d == nil || id < d.first || id-d.first >= uint64(len(d.texts)) {
		return "", false
	}
	t := d.texts[id-d.first]
	return string(d.key(t)[t.prefix:]), true
}

// key returns a text behind its organization.
func (d *textDelta) key(t addedText) []byte { return d.arena[t.at : t.at+uint64(t.length)] }

func (d *textDelta) add(h block.Hash, prefix string, text []byte) {
	d.ids[h] = uint32(len(d.texts))
	d.texts = append(d.texts, addedText{uint64(len(d.arena)), uint32(len(prefix) + len(text)), uint32(len(prefix))})
	d.arena = append(append(d.arena, prefix...), text...)
}

func (d *textDelta) find(h block.Hash) (uint64, bool) {
	if d == nil {
		return 0, false
	}
	at, ok := d.ids[h]
	return d.first + uint64(at), ok
}

func newTexts(db *pebble.DB, key block.Key, limits Limits, next uint64) *texts {
	fresh := next == 0
	if fresh {
		next = state.EmptyText + 1
	}
	return &texts{db: db, key: key, limit: limits.StringCache, bytes: limits.StringBytes, next: next, known: newTextTable(limits.TextBytes, fresh),
		byID: map[uint64]string{}, byIDOld: map[uint64]string{}, added: newTextDelta(next)}
}

// orgTexts interns for one organization; fold goroutine only.
type orgTexts struct {
	t      *texts
	prefix string
	hasher block.TextHasher
}

func (t *texts) forOrg(org string) orgTexts {
	return orgTexts{t, string(state.AppendOrg(nil, org)), t.key.Texts(org)}
}

// warm brings what intern reads of these texts into the processor's caches.
func (o orgTexts) warm(s *block.Strings) {
	t := o.t
	t.hashes = t.hashes[:0]
	for i := range s.Len() {
		t.hashes = append(t.hashes, o.hasher.Hash(s.At(i)))
	}
	t.warmed += t.known.warm(t.hashes)
}

func (o orgTexts) intern(text []byte) (uint64, error) {
	t := o.t
	h := o.hasher.Hash(text)
	id, complete := t.known.get(h)
	if id != 0 {
		return id, nil
	}
	if !complete {
		var err error
		t.asked++
		if id, err = t.find(h, o.prefix, text); err != nil {
			return 0, err
		}
	}
	if id == 0 {
		id = t.next
		t.next++
		t.mu.Lock()
		t.added.add(h, o.prefix, text)
		t.mu.Unlock()
	}
	t.known.put(h, id)
	return id, nil
}

// find looks a text up outside the fold's own tables; 0 if nobody has used it. Safe for readers.
func (t *texts) find(h block.Hash, prefix string, text []byte) (uint64, error) {
	t.mu.RLock()
	id, ok := t.added.find(h)
	if !ok {
		id, ok = t.frozen.find(h)
	}
	t.mu.RUnlock()
	if ok {
		return id, nil
	}
	key := append(append(append(make([]byte, 0, 1+len(prefix)+len(text)), state.KeyText), prefix...), text...)
	v, closer, err := t.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up a text: %w", err)
	}
	id = binary.BigEndian.Uint64(v)
	return id, closer.Close()
}

// lookup returns the number of a text for a reader, and false if nobody has used the text.
func (t *texts) lookup(org, text string) (uint64, bool, error) {
	if text == "" {
		return state.EmptyText, true, nil
	}
	id, err := t.find(t.key.Texts(org).Hash([]byte(text)), string(state.AppendOrg(nil, org)), []byte(text))
	return id, id != 0, err
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

// writeByNumber writes the additions in order of their numbers.
func (d *textDelta) writeByNumber(w *stateWriter) error {
	for i, t := range d.texts {
		if err := w.set(state.SeqKey(state.KeyTextByNumber, d.first+uint64(i)), d.key(t)[t.prefix:]); err != nil {
			return err
		}
	}
	return nil
}

// writeByText writes the additions in order of their texts.
func (d *textDelta) writeByText(w *stateWriter) error {
	var key []byte
	var v [8]byte
	for _, p := range d.byText() {
		key = append(append(key[:0], state.KeyText), d.key(d.texts[p.at])...)
		binary.BigEndian.PutUint64(v[:], d.first+uint64(p.at))
		w.did(textSteps - 2*rowSteps)
		if err := w.set(key, v[:]); err != nil {
			return err
		}
	}
	return nil
}

// textPlace is a text with as much of it as tells most from each other without
// a look at the arena, where texts lie in no order.
type textPlace struct {
	org  uint32 // rank of its organization
	at   uint32
	a, b uint64 // its first 16 bytes
}

// byText returns the places of the additions in order of organizations and texts.
func (d *textDelta) byText() []textPlace {
	prefix := func(t addedText) []byte { return d.key(t)[:t.prefix] }
	ranks := map[string]uint32{}
	for _, t := range d.texts {
		if _, ok := ranks[string(prefix(t))]; !ok {
			ranks[string(prefix(t))] = 0
		}
	}
	for i, p := range slices.Sorted(maps.Keys(ranks)) {
		ranks[p] = uint32(i)
	}
	order := make([]textPlace, len(d.texts))
	for i, t := range d.texts {
		var first [16]byte
		copy(first[:], d.key(t)[t.prefix:])
		order[i] = textPlace{ranks[string(prefix(t))], uint32(i), binary.BigEndian.Uint64(first[:]), binary.BigEndian.Uint64(first[8:])}
	}
	slices.SortFunc(order, func(x, y textPlace) int {
		switch {
		case x.org != y.org:
			return cmp.Compare(x.org, y.org)
		case x.a != y.a:
			return cmp.Compare(x.a, y.a)
		case x.b != y.b:
			return cmp.Compare(x.b, y.b)
		}
		return bytes.Compare(d.key(d.texts[x.at]), d.key(d.texts[y.at]))
	})
	return order
}
