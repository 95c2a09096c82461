package catalog

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"odometer/internal/meter"
)

// defaultPageSize is the number of items in a page that names no limit.
const defaultPageSize = 100

// Page asks for a part of a list.
type Page struct {
	Limit  int    // items at most; 0 = defaultPageSize, more than Limits.PageSize is KindInvalid
	Cursor string // Next of the page before; "" = from the start
}

// Bound checks and completes the page's limit.
func (p Page) Bound(most int) (int, error) {
	switch {
	case p.Limit < 0 || p.Limit > most:
		return 0, meter.Errorf(meter.KindInvalid, "limit must be between 1 and %d", most)
	case p.Limit == 0:
		return min(defaultPageSize, most), nil
	}
	return p.Limit, nil
}

// Cut drops the item that was read only to learn whether there is a next page.
func Cut[T any](items []T, limit int, cursor func(last T) string) ([]T, string) {
	if len(items) <= limit {
		return items, ""
	}
	items = items[:limit]
	return items, cursor(items[limit-1])
}

// Position is a place in a list that is ordered by a number and then a text.
type Position struct {
	Number int64
	Text   string
}

// String is the position as a cursor: the number, a dot, the text.
func (p Position) String() string { return strconv.FormatInt(p.Number, 10) + "." + p.Text }

// start is before everything that is stored: no instant is that early.
var start = Position{Number: -1 << 63}

// ParsePosition reads a cursor; "" is start.
func ParsePosition(cursor string) (Position, error) {
	if cursor == "" {
		return start, nil
	}
	number, text, ok := strings.Cut(cursor, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	p := Position{n, text}
	if !ok || err != nil || !utf8.ValidString(text) || p.String() != cursor {
		return Position{}, ErrCursor()
	}
	return p, nil
}

// ErrCursor says that a cursor is not one that a list gave.
func ErrCursor() error { return meter.Errorf(meter.KindInvalid, "cursor is not one of this list") }
