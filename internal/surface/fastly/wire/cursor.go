package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"odometer/internal/meter"
)

// maxCursorBytes bounds a cursor's text.
const maxCursorBytes = 4096

// cursorVersion is the first byte of a cursor; another form gets another.
const cursorVersion = 2

// Scope is what a cursor is bound to. Limit is no part of it: pages may differ
// in size.
type Scope struct {
	Version                     string // of the API
	Organization, Customer      string
	Product, UsageType, Service string
	Granularity                 string
	Start, End                  string // ends of the window as sent; "" = not sent
}

// Position is where a cursor goes on. It carries the window, so that one whose
// ends follow the calendar by default does not move between two pages.
type Position struct {
	Window Window
	After  Row // the last row of the page before
}

// Row names one row of an answer; rows are ordered by its fields in turn.
type Row struct {
	Service string
	// Product and UsageType are "" where a request names them.
	Product, UsageType string
	Late               string // the closed month that it came late for; "" = none
}

// Cursors signs cursors and opens them again.
type Cursors struct{ key []byte }

// NewCursors returns Cursors under a secret key, which must not change while
// cursors are in use.
func NewCursors(key []byte) *Cursors { return &Cursors{bytes.Clone(key)} }

// Sign returns the cursor of a position: unpadded base64url, so that no byte
// of it is escaped in a query.
func (c *Cursors) Sign(s Scope, p Position) string {
	b := []byte{cursorVersion}
	b = binary.AppendVarint(b, epochDay(p.Window.First))
	b = binary.AppendVarint(b, epochDay(p.Window.Last))
	b = appendTexts(b, p.After.Service, p.After.Product, p.After.UsageType, p.After.Late)
	return meter.WriteCursor(append(b, c.sum(s, b)...))
}

// Open returns the position of a cursor that Sign made for the same scope.
// Any other text is an error of KindInvalid, in the same words.
func (c *Cursors) Open(s Scope, cursor string) (Position, error) {
	refused := meter.Errorf(meter.KindInvalid, "cursor is not one that was given for this request")
	if len(cursor) > maxCursorBytes {
		return Position{}, refused
	}
	b, ok := meter.ReadCursor(cursor)
	if !ok || len(b) < 1+sha256.Size || b[0] != cursorVersion {
		return Position{}, refused
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(sum, c.sum(s, b)) {
		return Position{}, refused
	}
	p, read := readPosition(b[1:])
	if !read {
		return Position{}, refused
	}
	return p, nil
}

// sum authenticates a position under its scope.
func (c *Cursors) sum(s Scope, position []byte) []byte {
	h := hmac.New(sha256.New, c.key)
	h.Write(appendTexts([]byte("odometer fastly cursor\x00"), s.Version, s.Organization, s.Customer, s.Product, s.UsageType, s.Service,
		s.Granularity, s.Start, s.End))
	h.Write(position)
	return h.Sum(nil)
}

// appendTexts appends texts, each with its length before it.
func appendTexts(b []byte, texts ...string) []byte {
	for _, t := range texts {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	return b
}

// readPosition reads what Sign wrote after the version.
func readPosition(b []byte) (p Position, ok bool) {
	var ends [2]int64
	for i := range ends {
		v, n := binary.Varint(b)
		if n <= 0 {
			return p, false
		}
		ends[i], b = v, b[n:]
	}
	p.Window = Window{dayAt(ends[0]), dayAt(ends[1])}
	for _, to := range []*string{&p.After.Service, &p.After.Product, &p.After.UsageType, &p.After.Late} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return p, false
		}
		*to, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	return p, len(b) == 0
}

const daySeconds = 24 * 60 * 60

// epochDay is the day that begins at t, counted from 1970.
func epochDay(t time.Time) int64 { return t.Unix() / daySeconds }

func dayAt(n int64) time.Time { return time.Unix(n*daySeconds, 0).UTC() }
