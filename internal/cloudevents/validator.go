package cloudevents

import (
	"strings"
	"unicode/utf8"
)

// maxNesting is how deep the validator follows a value. What is deeper cannot
// be told from a malformed body.
const maxNesting = 10_000

// validator finds the end of a JSON value by the grammar alone: it does not
// mind deep nesting, duplicate keys, invalid UTF-8 or large numbers, which
// fail one event and not the body.
type validator struct {
	buf    []byte
	pos    int
	reason string
}

func (v *validator) fail(reason string) bool {
	v.reason = reason
	return false
}

// value goes behind the value at pos.
func (v *validator) value() bool {
	var fixed [32]byte
	stack := fixed[:0] // closing brackets to come
	for {
		if v.pos >= len(v.buf) {
			return v.fail("the text ends inside a value")
		}
		switch c := v.buf[v.pos]; c {
		case '{', '[':
			if len(stack) == maxNesting {
				return v.fail("nested too deeply to read")
			}
			v.pos = skipSpace(v.buf, v.pos+1)
			stack = append(stack, c+2) // '}' or ']'
			if v.pos < len(v.buf) && v.buf[v.pos] == c+2 {
				break // empty
			}
			if c == '{' && !v.key() {
				return false
			}
			continue
		case '"':
			if !v.str() {
				return false
			}
		case 't', 'f', 'n':
			n := literalLen(v.buf, v.pos)
			if n == 0 {
				return v.fail("want a value")
			}
			v.pos += n
		default:
			end := numberEnd(v.buf, v.pos)
			if end < 0 {
				return v.fail("want a value")
			}
			v.pos = end
		}
		var done bool
		if stack, done = v.close(stack); done {
			return v.reason == ""
		}
	}
}

// close goes from the end of a value to the start of the next one: over
// closing brackets, a comma, a key. Done is true at the end of all or at an error.
func (v *validator) close(stack []byte) (rest []byte, done bool) {
	for len(stack) > 0 {
		v.pos = skipSpace(v.buf, v.pos)
		if v.pos >= len(v.buf) {
			v.fail("the text ends inside a value")
			return nil, true
		}
		top := stack[len(stack)-1]
		switch v.buf[v.pos] {
		case top:
			v.pos++
			stack = stack[:len(stack)-1]
		case ',':
			v.pos = skipSpace(v.buf, v.pos+1)
			return stack, top == '}' && !v.key()
		default:
			v.fail("want ',' or '" + string(rune(top)) + "'")
			return nil, true
		}
	}
	return nil, true
}

// key goes from the start of a key to the start of its value.
func (v *validator) key() bool {
	if v.pos >= len(v.buf) || v.buf[v.pos] != '"' {
		return v.fail("want a key")
	}
	if !v.str() {
		return false
	}
	v.pos = skipSpace(v.buf, v.pos)
	if v.pos >= len(v.buf) || v.buf[v.pos] != ':' {
		return v.fail("want ':'")
	}
	v.pos = skipSpace(v.buf, v.pos+1)
	return true
}

// str goes behind the string at pos.
func (v *validator) str() bool {
	for i := v.pos + 1; i < len(v.buf); {
		i = plainEnd(v.buf, i)
		if i == len(v.buf) {
			break
		}
		switch c := v.buf[i]; {
		case c == '"':
			v.pos = i + 1
			return true
		case c == '\\':
			_, n := escape(v.buf[i:])
			if n == 0 {
				v.pos = i
				return v.fail("bad escape in a string")
			}
			i += n
		case c < ' ':
			v.pos = i
			return v.fail("control character in a string")
		default:
			i++
		}
	}
	return v.fail("a string has no end")
}

// identify finds the id and source of an event that was rejected, as far as
// they can be read, cut to their limits.
func identify(raw []byte, lim Limits) (id, source string) {
	v := validator{buf: raw}
	if len(raw) == 0 || raw[0] != '{' {
		return "", ""
	}
	v.pos = skipSpace(raw, 1)
	d := decoder{buf: raw}
	for v.pos < len(raw) && v.buf[v.pos] == '"' {
		d.pos = v.pos
		key, known := d.str()
		if !v.key() || v.pos >= len(raw) {
			return id, source
		}
		value := v.pos
		if !v.value() {
			return id, source
		}
		if known && raw[value] == '"' {
			d.pos = value
			text, ok := d.str()
			switch {
			case !ok:
			case string(key) == "id" && id == "":
				id = cut(text, lim.IDBytes)
			case string(key) == "source" && source == "":
				source = cut(text, lim.SourceBytes)
			}
		}
		v.pos = skipSpace(raw, v.pos)
		if v.pos >= len(raw) || raw[v.pos] != ',' {
			break
		}
		v.pos = skipSpace(raw, v.pos+1)
	}
	return id, source
}

// cut returns at most n bytes of text, whole characters only.
func cut(text []byte, n int) string {
	if len(text) > n {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return strings.Clone(string(text))
}
