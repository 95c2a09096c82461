package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"time"

	"odometer/internal/meter"
)

// CursorCodec writes and reads cursors. A cursor is
//
//	base64url( JSON of cursor | first 16 bytes of its HMAC-SHA-256 )
//
// and the HMAC covers the operation and the scope too, so that a cursor that
// was changed, made up, or made for another key's sight is unreadable.
type CursorCodec struct{ key []byte }

// NewCursorCodec returns a codec under a secret key, which should be random
// and of 32 bytes. Servers with the same key read each other's cursors.
func NewCursorCodec(key []byte) *CursorCodec { return &CursorCodec{append([]byte(nil), key...)} }

const cursorTag = 16 // bytes of the HMAC

// cursor is what the first page was asked, and where the next one begins.
type cursor struct {
	AID    string     `json:"g,omitempty"`
	Start  *time.Time `json:"s,omitempty"` // as given
	End    *time.Time `json:"e,omitempty"` // as given
	Window string     `json:"w,omitempty"` // as given
	From   time.Time  `json:"f"`
	To     time.Time  `json:"t"`
	Now    time.Time  `json:"n"`
	After  Position   `json:"p"`
}

func (c *CursorCodec) tag(op Operation, scope string, body []byte) []byte {
	// Each part is hashed by itself, so that no two framings are alike.
	h := hmac.New(sha256.New, c.key)
	for _, part := range [][]byte{[]byte("thousandeyes cursor 1"), []byte(op), []byte(scope), body} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return h.Sum(nil)[:cursorTag]
}

func (c *CursorCodec) encode(r UnitsRequest, next Position) (string, error) {
	body, err := json.Marshal(cursor{AID: r.AID, Start: r.given.start, End: r.given.end, Window: r.given.window,
		From: r.Range.From.UTC(), To: r.Range.To.UTC(), Now: r.Now, After: next})
	if err != nil {
		return "", err
	}
	text := meter.WriteCursor(append(body, c.tag(r.Operation, r.Scope, body)...))
	if len(text) > maxCursorBytes {
		return "", meter.Errorf(meter.KindTooLarge, "the ids of a row make a cursor of %d bytes (limit %d)", len(text), maxCursorBytes)
	}
	return text, nil
}

func (c *CursorCodec) decode(op Operation, scope, text string) (cursor, bool) {
	var out cursor
	if len(text) > maxCursorBytes {
		return out, false
	}
	raw, canonical := meter.ReadCursor(text)
	if !canonical || len(raw) <= cursorTag {
		return out, false
	}
	body, tag := raw[:len(raw)-cursorTag], raw[len(raw)-cursorTag:]
	if !hmac.Equal(tag, c.tag(op, scope, body)) {
		return out, false
	}
	return out, json.Unmarshal(body, &out) == nil
}

// resume takes range, now and place from the cursor. Filters beside it are
// those of the first page, or what they stood for; any other is an error.
func (r UnitsRequest) resume(codec *CursorCodec) (UnitsRequest, error) {
	c, ok := codec.decode(r.Operation, r.Scope, r.given.cursor)
	if !ok {
		return r, Invalid(codeInvalid, "cursor", "is not one that this operation gave out")
	}
	contradicts := func(field string) error {
		return Invalid(codeConflict, field, "contradicts the cursor")
	}
	switch g := r.given; {
	case r.AID != "" && r.AID != c.AID:
		return r, contradicts("aid")
	case g.start != nil && !g.start.Equal(c.From):
		return r, contradicts("startDate")
	case g.end != nil && !g.end.Equal(c.To):
		return r, contradicts("endDate")
	case g.window != "" && g.window != c.Window:
		return r, contradicts("window")
	}
	r.AID, r.Range, r.Now, r.After = c.AID, meter.Period{From: c.From, To: c.To}, c.Now, &c.After
	r.given = given{start: c.Start, end: c.End, window: c.Window, cursor: r.given.cursor}
	return r, nil
}
