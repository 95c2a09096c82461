package catalog

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"odometer/internal/meter"
)

// DefaultPageSize is the number of items in a page that names no limit.
const DefaultPageSize = 100

// Page asks for a part of a list.
type Page struct {
	Limit  int    // items at most; 0 = DefaultPageSize, more than Limits.PageSize is KindInvalid
	Cursor string // Next of the page before; "" = from the start
}

// limit checks and completes the page's limit.
func (p Page) limit(most int) (int, error) {
	switch {
	case p.Limit < 0 || p.Limit > most:
		return 0, meter.Errorf(meter.KindInvalid, "limit must be between 1 and %d", most)
	case p.Limit == 0:
		return min(DefaultPageSize, most), nil
	}
	return p.Limit, nil
}

// cut drops the item that was read only to learn whether there is a next page.
func cut[T any](items []T, limit int, cursor func(last T) string) ([]T, string) {
	if len(items) <= limit {
		return items, ""
	}
	items = items[:limit]
	return items, cursor(items[limit-1])
}

// position is a place in a list that is ordered by a number and then a text.
type position struct {
	number int64
	text   string
}

// String is the position as a cursor: the number, a dot, the text.
func (p position) String() string { return strconv.FormatInt(p.number, 10) + "." + p.text }

// start is before everything that is stored: no instant is that early.
var start = position{number: -1 << 63}

// parsePosition reads a cursor; "" is start.
func parsePosition(cursor string) (position, error) {
	if cursor == "" {
		return start, nil
	}
	number, text, ok := strings.Cut(cursor, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	p := position{n, text}
	if !ok || err != nil || !utf8.ValidString(text) || p.String() != cursor {
		return position{}, errCursor()
	}
	return p, nil
}

func errCursor() error { return meter.Errorf(meter.KindInvalid, "cursor is not one of this list") }
