// Package strictjson reads JSON that must not be misunderstood: what can bill,
// create a noun or move a key. encoding/json settles silently what two readers
// would settle differently; here it is refused, with what is wrong and where:
//
//	text that is not UTF-8, half a surrogate pair   two ids would become one
//	a member given twice, also as records/Records    one of them would be lost
//	null, or nothing, where a value restricts        everything would be meant
//	too deep, too many values, too long              memory
//	more text after the value                        a second request
//
// A byte order mark in front is skipped. Reader gives tokens; Read fills Go values.
package strictjson

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound a text; what is 0 takes its value from defaultLimits.
type Limits struct {
	Bytes int // of the text
	Depth int // of arrays and objects in each other
	Nodes int // values and names of members
}

// defaultLimits are those of a body that describes one thing.
var defaultLimits = Limits{Bytes: 1 << 20, Depth: 32, Nodes: 50_000}

func (l Limits) orDefault() Limits {
	for _, f := range []struct {
		have *int
		def  int
	}{{&l.Bytes, defaultLimits.Bytes}, {&l.Depth, defaultLimits.Depth}, {&l.Nodes, defaultLimits.Nodes}} {
		if *f.have == 0 {
			*f.have = f.def
		}
	}
	return l
}

// Error is what is wrong with a text, and where.
type Error struct {
	Path     string // such as customers[3].id; "" = the whole text
	What     string
	Line     int
	TooLarge bool // a limit was met, else the text is wrong
}

// Error is the path and what is wrong there.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.What
	}
	return e.Path + ": " + e.What
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// SkipMark returns a text without the byte order mark in front of it, if it has one.
func SkipMark(text []byte) []byte { return bytes.TrimPrefix(text, byteOrderMark) }

// Kind tells tokens apart.
type Kind byte

// The kinds of tokens.
const (
	BeginObject Kind = '{'
	EndObject   Kind = '}'
	BeginArray  Kind = '['
	EndArray    Kind = ']'
	Name        Kind = ':' // of a member
	String      Kind = '"'
	Number      Kind = '0'
	True        Kind = 't'
	False       Kind = 'f'
	null        Kind = 'n'
)

// String is the kind as messages name it.
func (k Kind) String() string {
	switch k {
	case BeginObject, EndObject:
		return "object"
	case BeginArray, EndArray:
		return "array"
	case True, False:
		return "boolean"
	case Number:
		return "number"
	case null:
		return "null"
	}
	return "string"
}

// Token is a part of a text.
type Token struct {
	Kind Kind
	raw  []byte // of a name or a string: what is between the quotes
}

// Text is a name, a string without its escapes, or a number or a word as it is written.
func (t Token) Text() string {
	if (t.Kind != Name && t.Kind != String) || bytes.IndexByte(t.raw, '\\') < 0 {
		return string(t.raw)
	}
	return unescape(t.raw)
}

// Reader gives the tokens of one JSON value, and checks all that needs no
// knowledge of what is read. A member that an object has twice under the same
// name is refused.
type Reader struct {
	text  []byte
	at    int
	limit Limits
	nodes int
	stack []frame
	state state

	line, counted int // the line of counted, the bytes whose lines are counted
}

// frame is an array or object that is not closed.
type frame struct {
	object bool
	index  int    // of the item
	name   string // of the member
	names  names
}

// state is what comes next.
type state uint8

const (
	wantValue state = iota
	wantFirst       // the first item or member, or the end
	wantNext        // a comma or the end
	wantEnd         // nothing more
)

// NewReader begins with a text, which it does not copy.
func NewReader(text []byte, limit Limits) (*Reader, error) {
	limit = limit.orDefault()
	if len(text) > limit.Bytes {
		return nil, &Error{What: fmt.Sprintf("has %d bytes, more than %d", len(text), limit.Bytes), Line: 1, TooLarge: true}
	}
	return &Reader{text: SkipMark(text), limit: limit, line: 1}, nil
}

// Line is the line of the last token.
func (r *Reader) Line() int {
	r.line += bytes.Count(r.text[r.counted:r.at], []byte{'\n'})
	r.counted = r.at
	return r.line
}

// path is where the last token is, such as customers[3].id.
func (r *Reader) path() string {
	var b strings.Builder
	for _, f := range r.stack {
		switch {
		case !f.object && f.index >= 0:
			b.WriteString("[" + strconv.Itoa(f.index) + "]")
		case f.object && f.name != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(clip(f.name))
		}
	}
	return b.String()
}

// fail says what is wrong where the reader is.
func (r *Reader) fail(format string, args ...any) error {
	return &Error{Path: r.path(), What: fmt.Sprintf(format, args...), Line: r.Line()}
}

func (r *Reader) tooLarge(format string, args ...any) error {
	return &Error{Path: r.path(), What: fmt.Sprintf(format, args...), Line: r.Line(), TooLarge: true}
}

// malformed says that the text is no JSON.
func (r *Reader) malformed() error {
	if r.at >= len(r.text) {
		if len(bytes.TrimSpace(r.text)) == 0 {
			return &Error{What: "the text is empty", Line: 1}
		}
		return r.fail("malformed JSON: the text ends too early")
	}
	c, _ := utf8.DecodeRune(r.text[r.at:])
	return r.fail("malformed JSON at byte %d: %q does not belong here", r.at, c)
}

func (r *Reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// peek is the next byte that is no white space, 0 at the end.
func (r *Reader) peek() byte {
	r.space()
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// Next returns the next token, io.EOF after the last. Errors are *Error.
func (r *Reader) Next() (Token, error) {
	c := r.peek()
	switch r.state {
	case wantEnd:
		if r.at < len(r.text) {
			return Token{}, r.fail("malformed JSON at byte %d: there is more text after the value", r.at)
		}
		return Token{}, io.EOF
	case wantFirst, wantNext:
		top := &r.stack[len(r.stack)-1]
		if c == '}' && top.object || c == ']' && !top.object {
			r.at++
			r.stack = r.stack[:len(r.stack)-1]
			r.after()
			return Token{Kind: Kind(c)}, nil
		}
		if r.state == wantNext {
			if c != ',' {
				return Token{}, r.malformed()
			}
			r.at++
			c = r.peek()
		}
		if top.object {
			return r.member(top, c)
		}
		top.index++
	}
	return r.value(c)
}

// after is the state behind a value.
func (r *Reader) after() {
	r.state = wantNext
	if len(r.stack) == 0 {
		r.state = wantEnd
	}
}

// count bounds the values and names.
func (r *Reader) count() error {
	if r.nodes++; r.nodes > r.limit.Nodes {
		return r.tooLarge("has more than %d values and names", r.limit.Nodes)
	}
	return nil
}

// member reads a name and the colon behind it.
func (r *Reader) member(top *frame, c byte) (Token, error) {
	if c != '"' {
		return Token{}, r.malformed()
	}
	top.name = ""
	raw, err := r.quoted()
	if err != nil {
		return Token{}, err
	}
	t := Token{Kind: Name, raw: raw}
	top.name = t.Text()
	if !top.names.add(top.name) {
		return Token{}, r.fail("is given twice")
	}
	if r.peek() != ':' {
		return Token{}, r.malformed()
	}
	r.at++
	r.state = wantValue
	return t, r.count()
}

func (r *Reader) value(c byte) (Token, error) {
	if err := r.count(); err != nil {
		return Token{}, err
	}
	switch c {
	case '{', '[':
		if len(r.stack) >= r.limit.Depth {
			return Token{}, r.tooDeep()
		}
		r.at++
		r.stack = append(r.stack, frame{object: c == '{', index: -1})
		r.state = wantFirst
		return Token{Kind: Kind(c)}, nil
	case '"':
		raw, err := r.quoted()
		if err != nil {
			return Token{}, err
		}
		r.after()
		return Token{Kind: String, raw: raw}, nil
	case 't', 'f', 'n':
		for _, word := range []string{"true", "false", "null"} {
			if word[0] == c && bytes.HasPrefix(r.text[r.at:], []byte(word)) {
				start := r.at
				r.at += len(word)
				r.after()
				return Token{Kind: Kind(c), raw: r.text[start:r.at]}, nil
			}
		}
		return Token{}, r.malformed()
	}
	raw, err := r.number()
	if err != nil {
		return Token{}, err
	}
	r.after()
	return Token{Kind: Number, raw: raw}, nil
}

func (r *Reader) tooDeep() error {
	return &Error{Path: clip(r.path()), What: fmt.Sprintf("nested too deep: more than %d arrays and objects in each other", r.limit.Depth), Line: r.Line()}
}

func (r *Reader) digits() bool {
	start := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at > start
}

// take skips one of some bytes.
func (r *Reader) take(of string) bool {
	if r.at < len(r.text) && strings.IndexByte(of, r.text[r.at]) >= 0 {
		r.at++
		return true
	}
	return false
}

func (r *Reader) number() ([]byte, error) {
	start := r.at
	r.take("-")
	if !r.take("0") && !r.digits() {
		return nil, r.malformed()
	}
	if r.take(".") && !r.digits() {
		return nil, r.malformed()
	}
	if r.take("eE") {
		r.take("+-")
		if !r.digits() {
			return nil, r.malformed()
		}
	}
	return r.text[start:r.at], nil
}

// quoted reads a string and checks its text and its escapes.
func (r *Reader) quoted() ([]byte, error) {
	r.at++
	start := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		switch {
		case c == '"':
			raw := r.text[start:r.at]
			r.at++
			if !utf8.Valid(raw) {
				return nil, r.fail("is not valid UTF-8")
			}
			return raw, nil
		case c == '\\':
			n, err := r.escape()
			if err != nil {
				return nil, err
			}
			r.at += n
		case c < ' ':
			return nil, r.malformed()
		default:
			r.at++
		}
	}
	return nil, r.malformed()
}

// escape returns the length of the escape here.
func (r *Reader) escape() (int, error) {
	rest := r.text[r.at:]
	if len(rest) < 2 {
		r.at = len(r.text)
		return 0, r.malformed()
	}
	if strings.IndexByte(`"\/bfnrt`, rest[1]) >= 0 {
		return 2, nil
	}
	first, ok := unit(rest)
	if !ok {
		return 0, r.malformed()
	}
	if !utf16.IsSurrogate(first) {
		return 6, nil
	}
	second, ok := unit(rest[6:])
	if !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
		return 0, r.fail(`holds \u%04x, which is half of a surrogate pair`, first)
	}
	return 12, nil
}

// unit reads \uXXXX.
func unit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 32)
	return rune(n), err == nil
}

// unescape resolves checked escapes.
func unescape(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); {
		switch {
		case raw[i] != '\\':
			b.WriteByte(raw[i])
			i++
		case raw[i+1] == 'u':
			first, _ := unit(raw[i:])
			i += 6
			if utf16.IsSurrogate(first) {
				second, _ := unit(raw[i:])
				first = utf16.DecodeRune(first, second)
				i += 6
			}
			b.WriteRune(first)
		default:
			at := strings.IndexByte(`"\/bfnrt`, raw[i+1])
			b.WriteByte("\"\\/\b\f\n\r\t"[at])
			i += 2
		}
	}
	return b.String()
}

// names are those of an object: a few in a list, many in a set.
type names struct {
	few  []string
	many map[string]struct{}
}

const fewNames = 8

// add says whether the name is new.
func (n *names) add(name string) bool {
	if n.many == nil && len(n.few) < fewNames {
		for _, have := range n.few {
			if have == name {
				return false
			}
		}
		n.few = append(n.few, name)
		return true
	}
	if n.many == nil {
		n.many = make(map[string]struct{}, 2*fewNames)
		for _, have := range n.few {
			n.many[have] = struct{}{}
		}
	}
	if _, had := n.many[name]; had {
		return false
	}
	n.many[name] = struct{}{}
	return true
}

// clip shortens a text for a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
