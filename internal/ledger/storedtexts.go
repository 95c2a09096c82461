package ledger

import (
	"odometer/internal/ledger/state"
)

// storedTexts interns for a scan beside cells: with the fold's own numbers,
// so that both meet in one group. A meter's group texts are all known.
type storedTexts struct {
	l   *Ledger
	org string
}

func (s storedTexts) intern(text []byte) (uint64, error) {
	id, ok, err := s.l.texts.lookup(s.org, string(text))
	if err == nil && !ok {
		// A filter's value, or an attribute of an event the meter skips:
		// no group of the meter has this text.
		return state.UnknownText, nil
	}
	return id, err
}

var _ interner = storedTexts{}

// cachedTexts interns with the fold's numbers and remembers them.
type cachedTexts struct {
	in    storedTexts
	ids   map[string]uint64
	bytes int64
}

// What cachedTexts and its like hold.
const (
	maxCachedTexts     = 1 << 16
	maxCachedTextBytes = 8 << 20
)

func (c *cachedTexts) intern(text []byte) (uint64, error) {
	if id, ok := c.ids[string(text)]; ok {
		return id, nil
	}
	id, err := c.in.intern(text)
	if err == nil && id != state.UnknownText {
		if len(c.ids) >= maxCachedTexts || c.bytes >= maxCachedTextBytes {
			clear(c.ids)
			c.bytes = 0
		}
		c.ids[string(text)] = id
		c.bytes += int64(len(text)) + cachedTextBytes
	}
	return id, err
}
