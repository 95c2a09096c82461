package ledger

import "odometer/internal/ledger/block"

// textTable maps texts, each known by a keyed hash of 96 bits as identities
// are, to their numbers. It holds no text and no pointer: 16 bytes an entry,
// some 20 with the free places. One goroutine at a time.
//
//	hash: 8 bits choose the shard, 64 lie in word, 24 beside the number
//
// It is bounded in bytes. At the bound one shard after the other is emptied:
// the texts of that one are looked up in the state again.
type textTable struct {
	shards [1 << textShardBits]textShard
	bytes  int64
	most   int64
	evict  int // shard that is emptied next
}

type textShard struct {
	slots    []textSlot
	used     int
	complete bool // no text of the shard is known to the state alone
	emptied  bool
}

type textSlot struct {
	word uint64
	rest uint64 // 24 bits of the hash above 40 of the number; 0 = free, for no text has number 0
}

const (
	textShardBits  = 8
	textNumberBits = 40 // a number beyond is not kept, and looked up each time
	textSlotBytes  = 16
	textShardFirst = 16
)

// newTextTable returns an empty table that is complete if the state has no texts.
func newTextTable(most int64, complete bool) *textTable {
	t := &textTable{most: most}
	for i := range t.shards {
		t.shards[i].complete = complete
	}
	return t
}

// place says where a hash belongs: its shard, what of it stands beside the
// number, and where in the shard's slots the search begins.
func (t *textTable) place(h block.Hash) (s *textShard, rest uint64, at int) {
	s = &t.shards[h.Lo>>(32-textShardBits)]
	return s, uint64(h.Lo) << textNumberBits, s.first(h.Hi) // the bits that chose the shard fall off above
}

func (s *textShard) first(word uint64) int { return int(word >> 32 * uint64(len(s.slots)) >> 32) }

// get returns the number of a text, 0 if the table does not have it, and
// whether nobody else can have it then.
func (t *textTable) get(h block.Hash) (number uint64, complete bool) {
	s, rest, at := t.place(h)
	for range s.slots {
		e := &s.slots[at]
		if e.rest == 0 {
			break
		}
		if e.word == h.Hi && e.rest>>textNumberBits<<textNumberBits == rest {
			return e.rest & (1<<textNumberBits - 1), s.complete
		}
		if at++; at == len(s.slots) {
			at = 0
		}
	}
	return 0, s.complete
}

// put adds a text that the table does not have.
func (t *textTable) put(h block.Hash, number uint64) {
	s, rest, _ := t.place(h)
	if number>>textNumberBits != 0 {
		s.complete = false
		return
	}
	if s.used >= len(s.slots)-len(s.slots)/8 {
		t.grow(s)
	}
	s.insert(textSlot{h.Hi, rest | number})
}

func (s *textShard) insert(e textSlot) {
	at := s.first(e.word)
	for s.slots[at].rest != 0 {
		if at++; at == len(s.slots) {
			at = 0
		}
	}
	s.slots[at] = e
	s.used++
}

// grow makes room in one shard, a quarter more: the others stay as they are, so
// that no text waits for all of them.
func (t *textTable) grow(s *textShard) {
	size := max(textShardFirst, len(s.slots)+len(s.slots)/4)
	for t.bytes+int64(size-len(s.slots))*textSlotBytes > t.most && t.bytes > 0 {
		t.empty()
		if len(s.slots) == 0 {
			size = textShardFirst
		}
	}
	t.resize(s, size)
}

func (t *textTable) resize(s *textShard, size int) {
	old := s.slots
	s.slots, s.used = make([]textSlot, size), 0
	t.bytes += int64(size-len(old)) * textSlotBytes
	for _, e := range old {
		if e.rest != 0 {
			s.insert(e)
		}
	}
}

// reserve makes room for so many texts in all, unless that is more than the bound.
func (t *textTable) reserve(texts uint64) {
	size := texts / uint64(len(t.shards)) * 5 / 4
	if size*uint64(len(t.shards))*textSlotBytes > uint64(t.most) {
		return
	}
	for i := range t.shards {
		if s := &t.shards[i]; len(s.slots) < int(size) {
			t.resize(s, int(size))
		}
	}
}

// warm touches where the texts of these hashes are, in one go: waiting for one
// after the other to come from memory is most of what they take. What it
// returns has no meaning.
func (t *textTable) warm(hashes []block.Hash) (sum uint64) {
	for _, h := range hashes {
		if s, _, at := t.place(h); at < len(s.slots) {
			sum += s.slots[at].rest
		}
	}
	return sum
}

// empty forgets the texts of one shard.
func (t *textTable) empty() {
	s := &t.shards[t.evict]
	t.evict = (t.evict + 1) % len(t.shards)
	t.bytes -= int64(len(s.slots)) * textSlotBytes
	*s = textShard{emptied: true}
}

// full says that texts were forgotten for want of room.
func (t *textTable) full() bool { return t.shards[0].emptied }

// completed says that the table now has all texts that the state has, but for
// those of shards that were emptied.
func (t *textTable) completed() {
	for i := range t.shards {
		t.shards[i].complete = !t.shards[i].emptied
	}
}
