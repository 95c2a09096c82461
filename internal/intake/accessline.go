package intake

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// accessLine holds slices of the line it was read from.
type accessLine struct {
	host, client, user            []byte
	forwarded                     []byte // the whole list where the client is the first of one
	time                          time.Time
	request                       []byte
	method, path, query, protocol []byte // nil if the request is no request line
	status, bytes                 []byte // digits
	referer, agent                []byte
}

// parseCombined reads a line by this grammar; "_" is any white space:
//
//	line    = *prefix [host _] client _ ident _ user _ "[" time "]" _ request _ status _ bytes *(_ field)
//	prefix  = what a log collector put before the line, see cutPrefix
//	host    = name or address [":" port] | "-"
//	client  = address *("," address) | name | "-"
//	ident   = token | "-"
//	user    = text, which may hold blanks
//	request = quoted text
//	field   = quoted text | token
//
// Each part is checked for what it must be, so that a line of another shape,
// or two that run into each other, is refused instead of billed to whoever
// stands in the place. After the bytes nothing refuses a line.
func parseCombined(line []byte) (accessLine, error) {
	var out accessLine
	rest, err := out.parseHead(cutPrefixes(bytes.TrimPrefix(line, utf8BOM)))
	if err != nil {
		return out, err
	}
	if out.request, rest, err = quoted(rest); err != nil {
		return out, fmt.Errorf("request: %w", err)
	}
	if len(rest) > 0 && !isBlank(rest[0]) {
		return out, errors.New("text follows the request's closing quote")
	}
	out.status, rest = token(rest)
	if len(out.status) != 3 || !allDigits(out.status) {
		return out, errors.New("status is not three digits")
	}
	out.bytes, rest = token(rest)
	if bytes.Equal(out.bytes, dash) {
		out.bytes = []byte("0")
	}
	if !allDigits(out.bytes) {
		return out, errors.New("bytes is not a whole number")
	}
	out.parseRequest()
	return out, out.parseTail(rest)
}

// parseHead reads everything up to the bracket that closes the time: the one
// before the request's quote.
func (l *accessLine) parseHead(line []byte) (rest []byte, err error) {
	err = errors.New("no [time] field")
	for from := 0; ; {
		i := bytes.IndexByte(line[from:], '[')
		if i < 0 {
			return nil, err
		}
		at := from + i
		from = at + 1
		end := at + 1 + len(accessTime)
		if at > 0 && !isBlank(line[at-1]) || end >= len(line) || line[end] != ']' {
			continue
		}
		t, ok := parseAccessTime(line[at+1 : end])
		if !ok {
			err = fmt.Errorf("time %q is not like %s", line[at+1:end], accessTime)
			continue
		}
		rest = line[end+1:]
		if after := skipBlanks(rest); len(after) > 0 && after[0] == '[' {
			continue // the user's name holds a time
		}
		l.time = t
		return rest, l.parseWho(line[:at])
	}
}

// parseWho reads "[host ]client ident user". The second field is an address
// only behind a host, and "-" only behind a client.
func (l *accessLine) parseWho(text []byte) error {
	text = trimBlanks(text)
	first, rest := token(text)
	second, after := token(rest)
	third, _ := token(after)
	hasHost := isHost(first) || bytes.Equal(first, dash)
	if hasHost && !bytes.HasSuffix(first, comma) && len(third) > 0 &&
		(isAddresses(bytes.TrimSuffix(second, comma)) || isName(second) && bytes.Equal(third, dash)) {
		if !bytes.Equal(first, dash) {
			l.host = first
		}
		text = rest
	}
	text, err := l.parseClient(text)
	if err != nil {
		return err
	}
	ident, user := token(text)
	l.user = trimBlanks(user)
	switch {
	case len(ident) == 0 || len(l.user) == 0:
		return errors.New("client, ident and user do not precede the time")
	case !bytes.Equal(ident, dash) && !isIdent(ident):
		return fmt.Errorf("%.60q, behind the client %.60q, is no ident", ident, l.client)
	}
	return checkUser(l.user)
}

// parseClient reads the client: an address, a name, or a list of addresses as
// proxies forward it, whose first is the client.
func (l *accessLine) parseClient(text []byte) (rest []byte, err error) {
	client, rest := token(text)
	whole := client
	for bytes.HasSuffix(whole, comma) {
		next, after := token(rest)
		if len(next) == 0 {
			return nil, fmt.Errorf("the list of clients %.60q has no end", whole)
		}
		whole = text[:len(text)-len(after)]
		rest = after
	}
	whole = trimBlanks(whole)
	if first, _, list := bytes.Cut(whole, comma); list {
		if !isAddresses(whole) {
			return nil, fmt.Errorf("%.60q is no list of addresses", whole)
		}
		l.client, l.forwarded = trimBlanks(first), whole
		return rest, nil
	}
	if !isAddresses(whole) && !isName(whole) && !bytes.Equal(whole, dash) && !bytes.Equal(whole, unixSocket) {
		if len(whole) == 0 {
			return nil, errors.New("client, ident and user do not precede the time")
		}
		return nil, fmt.Errorf("client %.60q is neither an address nor a host name", whole)
	}
	l.client = whole
	return rest, nil
}

// checkUser refuses a name in which another line may have begun: servers write
// what clients say, but neither an address with its ident nor a time.
func checkUser(user []byte) error {
	for rest := user; len(rest) > 0; {
		var word []byte
		word, rest = token(rest)
		next, _ := token(rest)
		switch {
		case len(word) == 1 && word[0] == '-' && len(next) > 0,
			len(word) > 1 && word[0] == '[' && word[1] >= '0' && word[1] <= '9',
			len(next) > 0 && isAddresses(bytes.TrimLeft(word, "-")):
			return fmt.Errorf("user %.60q: another line seems to begin in it", user)
		}
	}
	return nil
}

// parseTail takes the referer and the user agent from the fields after the
// bytes: the first two that are quoted or "-". Others, such as the time that the
// request took, are passed over, and what cannot be read ends the line; but
// not where the next line's time shows that two run into each other.
func (l *accessLine) parseTail(rest []byte) error {
	into := []*[]byte{&l.referer, &l.agent}
	for {
		if rest = skipBlanks(rest); len(rest) == 0 {
			return nil
		}
		if rest[0] != '"' {
			if startsTime(rest) {
				return errTwoLines
			}
			var word []byte
			if word, rest = token(rest); bytes.Equal(word, dash) && len(into) > 0 {
				into = into[1:]
			}
			continue
		}
		value, after, err := quoted(rest)
		if err != nil || len(after) > 0 && !isBlank(after[0]) {
			for i := range rest {
				if startsTime(rest[i:]) {
					return errTwoLines
				}
			}
			return nil
		}
		if rest = after; len(into) > 0 {
			*into[0], into = value, into[1:]
		}
	}
}

var errTwoLines = errors.New("another line begins in this one")

// startsTime tells whether text begins with a [time].
func startsTime(text []byte) bool {
	if text[0] != '[' || len(text) < len(accessTime)+1 {
		return false
	}
	_, ok := parseAccessTime(text[1 : 1+len(accessTime)])
	return ok
}

// parseRequest splits "METHOD target PROTOCOL". What is not of that shape, such
// as "-" or a TLS greeting, stays whole in request. A host in the target is
// the client's word: it counts only where the log names none.
func (l *accessLine) parseRequest() {
	method, rest, found := bytes.Cut(l.request, []byte{' '})
	if !found || !isMethod(method) {
		return
	}
	target, protocol := rest, []byte(nil)
	if i := bytes.LastIndexByte(rest, ' '); i >= 0 {
		if !bytes.HasPrefix(rest[i+1:], []byte("HTTP/")) {
			return
		}
		target, protocol = rest[:i], rest[i+1:]
	}
	if target = bytes.Trim(target, " "); len(target) == 0 {
		return
	}
	l.method, l.protocol = method, protocol
	var host []byte
	switch i := bytes.Index(target, []byte("://")); {
	case i > 0 && bytes.IndexByte(target[:i], '/') < 0:
		host, target = target[i+3:], nil
		if j := bytes.IndexAny(host, "/?"); j >= 0 {
			host, target = host[:j], host[j:]
		}
	case string(method) == "CONNECT":
		host, target = target, nil
	}
	if l.host == nil {
		l.host = host
	}
	l.path, l.query, _ = bytes.Cut(target, []byte{'?'})
}

// isMethod accepts upper-case tokens; lower-case methods do not exist in
// practice and binary greetings such as \x16\x03 never match.
func isMethod(text []byte) bool {
	for _, c := range text {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(text) > 0 && text[0] != '-'
}

var (
	comma      = []byte{','}
	unixSocket = []byte("unix:")
	unknown    = []byte("unknown")
)

// isAddresses tells whether text is an IP address, with or without a port, or
// a list of some; proxies write "unknown" where they hide one, not as the only one.
func isAddresses(text []byte) bool {
	for n := 0; ; n++ {
		one, rest, more := bytes.Cut(text, comma)
		if one = trimBlanks(one); !isAddress(one) && (!bytes.Equal(one, unknown) || n == 0 && !more) {
			return false
		}
		if !more {
			return true
		}
		text = rest
	}
}

func isAddress(text []byte) bool {
	// An IP address begins with a digit, a colon, a bracket or a hexadecimal letter.
	if len(text) < 2 || len(text) > 80 || bytes.IndexByte(text, '.') < 0 && bytes.IndexByte(text, ':') < 0 {
		return false
	}
	if _, err := netip.ParseAddr(string(bytes.Trim(text, "[]"))); err == nil {
		return true
	}
	_, err := netip.ParseAddrPort(string(text))
	return err == nil
}

// isName tells whether text is a host name. One whose last label is a number
// would be a broken address.
func isName(text []byte) bool {
	if len(text) == 0 || len(text) > 253 || text[0] == '-' || text[0] == '.' {
		return false
	}
	for _, c := range text {
		if !isAlphanumeric(c) && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	last := bytes.TrimSuffix(text, []byte{'.'})
	return !allDigits(last[bytes.LastIndexByte(last, '.')+1:])
}

// isHost tells whether text is the host that a server writes: its own name or
// what a client asked for, by RFC 3986's reg-name, an address, with or without a port.
func isHost(text []byte) bool {
	if len(text) == 0 || len(text) > 300 || text[0] == '-' {
		return false
	}
	if isAddress(text) {
		return true
	}
	name := text
	if i := bytes.LastIndexByte(text, ':'); i >= 0 {
		if port := text[i+1:]; len(port) > 5 || len(port) > 0 && !allDigits(port) {
			return false
		}
		name = text[:i]
	}
	for _, c := range name {
		if !isAlphanumeric(c) && c < 0x80 && bytes.IndexByte([]byte("-._~!$&'()*+;=%\\"), c) < 0 {
			return false
		}
	}
	return len(name) > 0 && (isName(name) || !allDigits(name[bytes.LastIndexByte(name, '.')+1:]))
}

func isIdent(text []byte) bool {
	for i, c := range text {
		if !isAlphanumeric(c) && c != '_' && (i == 0 || bytes.IndexByte([]byte(".@+-"), c) < 0) {
			return false
		}
	}
	return !isAddress(text)
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func skipBlanks(text []byte) []byte { return bytes.TrimLeft(text, " \t") }

func trimBlanks(text []byte) []byte { return bytes.Trim(text, " \t") }

// token reads white space and what follows up to the next.
func token(text []byte) (value, rest []byte) {
	text = skipBlanks(text)
	if i := bytes.IndexAny(text, " \t"); i >= 0 {
		return text[:i], text[i:]
	}
	return text, nil
}

// quoted reads white space and "..."; a backslash keeps the byte after it from closing.
func quoted(text []byte) (value, rest []byte, err error) {
	text = skipBlanks(text)
	if len(text) == 0 || text[0] != '"' {
		return nil, nil, errors.New("not in quotes")
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[1:i], text[i+1:], nil
		}
	}
	return nil, nil, errors.New("the closing quote is missing")
}
