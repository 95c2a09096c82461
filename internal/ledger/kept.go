package ledger

import (
	"container/list"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"odometer/internal/meter"
)

// keptAnswers holds answers that took many cells to make, until something
// reaches their range: most questions are about months that are over.
//
//	question ─► key ─► answer as of S ─► nothing after S reached the range? ─► the answer, as of now
//
// What reached which range is noted by the fold, see reach.
type keptAnswers struct {
	most int64 // bytes

	mu    sync.Mutex
	bytes int64
	byKey map[string]*list.Element
	used  list.List // of *keptAnswer, the last used first
}

type keptAnswer struct {
	key      string
	sequence uint64
	usage    *meter.Usage
	bytes    int64
}

// mayKeep says whether the answer depends on nothing but the entries that
// reach the range: not on the clock, nor on another standing of the log.
func (qu *question) mayKeep(now time.Time) bool {
	return qu.asOf == moment{} && (!qu.def.Sampled() || qu.to <= now.UnixNano())
}

// open says whether the end of the range matters to the answer only as the end
// of its one window: there are no events near it, as in a question until now.
func (qu *question) open() bool {
	return qu.q.Window == "" && !qu.q.FillZero && qu.q.Cursor == "" && !qu.def.Sampled()
}

// key names everything that the answer depends on besides the entries.
func (qu *question) key() string {
	q := &qu.q
	to := qu.to
	if qu.open() {
		to = qu.hi
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %d %q %q %v %v %d %v %v %q %q %q", qu.m.record.Version, qu.from, to, q.Window, qu.loc.String(), q.Undivided, q.FillZero, q.Limit, q.All, q.ByValue, q.After, q.Cursor, q.GroupBy)
	filters := make([]string, len(qu.filters))
	for i, f := range qu.filters {
		values := slices.Clone(f.Values)
		slices.Sort(values)
		filters[i] = fmt.Sprintf("%q %q", f.Attribute, values)
	}
	slices.Sort(filters) // all hold, in whatever order
	for _, f := range filters {
		b.WriteByte('\n')
		b.WriteString(f)
	}
	return b.String()
}

// keptAnswer returns the answer to a question if one is kept that still holds.
func (l *Ledger) keptAnswer(qu *question, key string) *meter.Usage {
	k := &l.kept
	k.mu.Lock()
	e := k.byKey[key]
	if e == nil {
		k.mu.Unlock()
		return nil
	}
	have := *e.Value.(*keptAnswer)
	k.mu.Unlock()
	l.mu.RLock()
	o := l.peekOrg(qu.m.Org)
	holds := o.meter(qu.q.Meter) == qu.m && o.record.Reached.Last(qu.from, qu.to) <= have.sequence
	now := l.active.applied
	l.mu.RUnlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if e = k.byKey[key]; e != nil && holds {
		k.used.MoveToFront(e)
	} else if e != nil && e.Value.(*keptAnswer).sequence == have.sequence {
		k.drop(e)
	}
	if !holds {
		return nil
	}
	u := *have.usage
	u.Rows = slices.Clone(u.Rows) // the caller's own; their groups are shared
	if qu.open() {
		for i := range u.Rows {
			u.Rows[i].End = time.Unix(0, qu.to).UTC()
		}
	}
	u.Sequence = now
	return &u
}

// keep remembers an answer. Answers of few cells are not worth the room.
func (l *Ledger) keep(key string, cells int, u *meter.Usage) {
	if cells < l.limits.AnswerCells {
		return
	}
	kept := *u
	kept.Rows = slices.Clone(u.Rows)
	a := &keptAnswer{key: key, sequence: u.Sequence, usage: &kept, bytes: sizeOf(key, u)}
	k := &l.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.bytes > k.most {
		return
	}
	if e := k.byKey[key]; e != nil {
		if e.Value.(*keptAnswer).sequence > a.sequence {
			return
		}
		k.drop(e)
	}
	if k.byKey == nil {
		k.byKey = map[string]*list.Element{}
	}
	k.byKey[key] = k.used.PushFront(a)
	for k.bytes += a.bytes; k.bytes > k.most; {
		k.drop(k.used.Back())
	}
}

// drop forgets an answer. k.mu is held.
func (k *keptAnswers) drop(e *list.Element) {
	a := k.used.Remove(e).(*keptAnswer)
	k.bytes -= a.bytes
	delete(k.byKey, a.key)
}

// What an answer and a row take in memory, besides their texts, about.
const (
	answerOverhead = 512
	rowOverhead    = 128
	textOverhead   = 16
)

func sizeOf(key string, u *meter.Usage) int64 {
	size := answerOverhead + 2*len(key) + len(u.NextCursor) + rowOverhead*len(u.Rows)
	for i := range u.Rows {
		for _, text := range u.Rows[i].Group {
			size += textOverhead + len(text)
		}
	}
	return int64(size)
}
