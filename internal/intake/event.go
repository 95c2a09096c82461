package intake

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// eventWriter appends one CloudEvent in JSON.
type eventWriter struct {
	b     []byte
	comma bool
}

func startEvent(dst []byte) eventWriter {
	return eventWriter{b: append(dst, `{"specversion":"1.0"`...), comma: true}
}

func (w *eventWriter) key(name string) {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
	w.b = appendString(w.b, name)
	w.b = append(w.b, ':')
}

func (w *eventWriter) text(name string, value string) {
	w.key(name)
	w.b = appendString(w.b, value)
}

func (w *eventWriter) bytes(name string, value []byte) {
	w.key(name)
	w.b = appendString(w.b, value)
}

// some writes nothing when the value is empty.
func (w *eventWriter) some(name string, value []byte) {
	if len(value) > 0 {
		w.bytes(name, value)
	}
}

// optional writes nothing when the value is empty or "-", a log's sign for none.
func (w *eventWriter) optional(name string, value []byte) {
	if len(value) > 0 && !bytes.Equal(value, dash) {
		w.bytes(name, value)
	}
}

// number writes text that is a JSON number already.
func (w *eventWriter) number(name string, value []byte) {
	w.key(name)
	w.b = append(w.b, value...)
}

func (w *eventWriter) time(value time.Time) {
	w.key("time")
	w.b = append(w.b, '"')
	w.b = value.UTC().AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
}

func (w *eventWriter) open(name string) {
	w.key(name)
	w.b = append(w.b, '{')
	w.comma = false
}

func (w *eventWriter) close() {
	w.b = append(w.b, '}')
	w.comma = true
}

var dash = []byte("-")

const hexDigits = "0123456789ABCDEF"

// appendString appends a JSON string. A byte that is not UTF-8 becomes the four
// characters \xHH, which is how nginx and Apache write it in their logs.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			// The conversion of at most four bytes stays on the stack.
			r, size = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, '\\', '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// plainNumber says whether text is a JSON number in the very form that the
// server renders it: no exponent, no needless zeros, at most 26 digits before
// the point and 12 after it. Such text can be sent as a number without
// changing what it reads as; any other is sent as a string, which loses
// nothing either, as a quoted number is a number.
func plainNumber(text []byte) bool {
	digits := bytes.TrimPrefix(text, dash)
	whole, fraction, point := bytes.Cut(digits, []byte{'.'})
	if !allDigits(whole) || len(whole) > 26 || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if point && (!allDigits(fraction) || len(fraction) > 12 || fraction[len(fraction)-1] == '0') {
		return false
	}
	return string(text) != "-0"
}

func allDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}
